"""Where the local stack lives and which ports it uses; every field can be set by an environment variable."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nifi_flows.errors import TerminalError
from scripts.bootstrap import ROOT, cache_folder

LOOPBACK = "127.0.0.1"  # the only address that anything here listens on


class Settings(BaseSettings):
    """Settings of one local stack. Environment variables: PIPELINE_ and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_", frozen=True)

    home: Path = Field(Path(ROOT) / ".pipeline", description="data, configuration, logs and secrets of the stack")
    cache: Path = Field(Path(cache_folder()), description="engines; survives a fresh clone")
    maven: str = Field("https://repo.maven.apache.org/maven2", description="Maven repository or a mirror of it")

    source_port: int = 8000
    kafka_port: int = 9092
    kafka_controller_port: int = 9093
    registry_port: int = 8081
    registry_management_port: int = 8082
    cassandra_port: int = 9042
    cassandra_storage_port: int = 7000
    nifi_port: int = 8443
    nifi_management_port: int = 8444
    spark_master_port: int = 7077
    spark_master_ui_port: int = 8080
    spark_worker_ui_port: int = 8083
    consumer_ui_port: int = 4040

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


def load() -> Settings:
    """Read the settings from the environment. Raises TerminalError naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "PIPELINE_" + str(first["loc"][0]).upper()
        raise TerminalError(f"{name}: {first['msg']}, got {first['input']!r}", f"correct or unset {name}") from error
