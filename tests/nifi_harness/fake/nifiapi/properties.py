from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from nifiapi.componentstate import StateManager


class ExpressionLanguageScope(Enum):
    NONE = 1
    ENVIRONMENT = 2
    FLOWFILE_ATTRIBUTES = 3


class TimeUnit(Enum):
    MILLISECONDS = "MILLISECONDS"
    SECONDS = "SECONDS"


class StandardValidators:
    ALWAYS_VALID = "ALWAYS_VALID"
    NON_EMPTY_VALIDATOR = "NON_EMPTY_VALIDATOR"
    POSITIVE_INTEGER_VALIDATOR = "POSITIVE_INTEGER_VALIDATOR"
    NON_NEGATIVE_INTEGER_VALIDATOR = "NON_NEGATIVE_INTEGER_VALIDATOR"
    HOSTNAME_PORT_LIST_VALIDATOR = "HOSTNAME_PORT_LIST_VALIDATOR"
    URL_VALIDATOR = "URL_VALIDATOR"
    TIME_PERIOD_VALIDATOR = "TIME_PERIOD_VALIDATOR"


class PropertyDescriptor:
    def __init__(
        self,
        name: str,
        description: str,
        required: bool = False,
        sensitive: bool = False,
        display_name: str | None = None,
        default_value: str | None = None,
        allowable_values: Sequence[str] | None = None,
        dependencies: Sequence[Any] | None = None,
        expression_language_scope: ExpressionLanguageScope = ExpressionLanguageScope.NONE,
        dynamic: bool = False,
        validators: Sequence[Any] | None = None,
        resource_definition: Any = None,
        controller_service_definition: str | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.required = required
        self.defaultValue = default_value
        self.validators = validators


class PythonPropertyValue:
    def __init__(
        self,
        property_value: Any,
        string_value: str | None,
        el_supported: bool,
        el_present: bool,
        referenced_attribute: str | None,
    ) -> None:
        self.value = string_value

    def getValue(self) -> str | None:
        return self.value

    def asTimePeriod(self, time_unit: TimeUnit) -> int:
        """Knows '<whole number> ms|sec|min' only."""
        number, unit = (self.value or "").split()
        milliseconds = int(number) * {"ms": 1, "sec": 1000, "min": 60_000}[unit]
        return milliseconds if time_unit is TimeUnit.MILLISECONDS else milliseconds // 1000


class PropertyContext:
    def getProperty(self, descriptor: PropertyDescriptor | str) -> PythonPropertyValue:
        return self.property_values[descriptor if isinstance(descriptor, str) else descriptor.name]

    property_values: dict[str, PythonPropertyValue]


class ValidationContext(PropertyContext):
    def __init__(self, java_context: Mapping[str, str]) -> None:
        self.property_values = {
            name: PythonPropertyValue(None, value, False, False, None) for name, value in java_context.items()
        }


class ProcessContext(ValidationContext):
    """java_context: property name to value. The state manager is one for the life of the context."""

    def __init__(self, java_context: Mapping[str, str]) -> None:
        super().__init__(java_context)
        self.state_manager = StateManager({})

    def getStateManager(self) -> StateManager:
        return self.state_manager


class ValidationResult:
    def __init__(self, subject: str = "", explanation: str = "", valid: bool = False, input: str | None = None) -> None:
        self.subject = subject
        self.explanation = explanation
        self.valid = valid
        self.input = input
