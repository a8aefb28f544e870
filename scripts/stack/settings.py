"""Where the local stack lives and which ports it uses; every field can be set by an environment variable."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.bootstrap import ROOT, cache_folder

LOOPBACK = "127.0.0.1"  # the only address that anything here listens on

Port = Annotated[int, Field(ge=1, le=65535)]
# Engines run in folders of their own, so a relative path would mean another folder to each.
Folder = Annotated[Path, AfterValidator(lambda path: Path(os.path.abspath(path)))]


class Settings(BaseSettings):
    """Settings of one local stack. Environment variables: PIPELINE_ and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_", env_ignore_empty=True, frozen=True)

    home: Folder = Field(Path(ROOT) / ".pipeline", description="data, configuration, logs and secrets of the stack")
    cache: Folder = Field(Path(cache_folder()), description="engines; survives a fresh clone")
    maven: str = Field("https://repo.maven.apache.org/maven2", description="Maven repository or a mirror of it")

    environment: str = Field(
        "local", description="environment of the flow, as nifi_flows/users/environments.toml has it"
    )

    source_port: Port = 8000
    kafka_port: Port = 9092
    kafka_controller_port: Port = 9093
    registry_port: Port = 8081
    registry_management_port: Port = 8082
    cassandra_port: Port = 9042
    cassandra_storage_port: Port = 7000
    nifi_port: Port = 8443
    nifi_management_port: Port = 8444
    canvas_port: Port = 8445
    spark_master_port: Port = 7077
    spark_master_ui_port: Port = 8080
    spark_worker_ui_port: Port = 8083
    consumer_ui_port: Port = 4040
    airflow_port: Port = 8084

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process groups, launch files and the supervisor's socket: nothing that outlives the stack."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def flows(self) -> Path:
        """Stored versions of flows, and what was done with them."""
        return self.home / "flows"

    @property
    def monitor(self) -> Path:
        """What the monitor saw last, and the alerts that it sent."""
        return self.home / "monitor"

    @property
    def kafka(self) -> str:
        return f"{LOOPBACK}:{self.kafka_port}"

    @property
    def registry(self) -> str:
        """Base URL of the registry's Confluent API."""
        return f"http://{LOOPBACK}:{self.registry_port}/apis/ccompat/v7"

    @property
    def nifi(self) -> str:
        return f"https://{LOOPBACK}:{self.nifi_port}/nifi-api"

    @property
    def source(self) -> str:
        """The embedded HTTP source, in the shape of the randomuser.me API."""
        return f"http://{LOOPBACK}:{self.source_port}/api/"
