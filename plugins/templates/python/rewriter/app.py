"""What a service learns of a request, and what a client does not learn of an answer."""

import json
from dataclasses import dataclass, field, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.imports.types import Edit, Edit_Remove, Edit_Set


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    set: dict[str, str] = field(default_factory=dict)
    """Header fields that the service gets, in place of any that the client sent."""
    remove: list[str] = field(default_factory=list)
    """Header fields of the client that the service does not get."""
    hide: list[str] = field(default_factory=list)
    """Header fields of the service that the client does not get."""

    @classmethod
    def read(cls, text: str) -> "Settings":
        """Raises `ValueError` with what is wrong."""
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("the configuration must be an object")
        known = [field.name for field in fields(cls)]
        for key in given:
            if key not in known:
                raise ValueError(f'unknown key "{key}"; the keys are {", ".join(known)}')
        settings = cls(**given)
        if not isinstance(settings.set, dict) or not all(isinstance(value, str) for value in settings.set.values()):
            raise ValueError("set must map names to values")
        for key, names in [("remove", settings.remove), ("hide", settings.hide)]:
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{key} must be a list of texts")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Sets and removes header fields")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class RequestRewriting(exports.RequestRewriting):
    # Carried out in order: what is set is there, also where it is to be removed.
    def rewrite_request(self) -> list[Edit]:
        removed = [Edit_Remove(name) for name in settings.remove]
        return removed + [Edit_Set(header) for header in settings.set.items()]


class ResponseRewriting(exports.ResponseRewriting):
    # The header of the answer is not looked at: fields that are no text are not in it.
    def rewrite_response(self, status: int, headers: list[tuple[str, str]]) -> list[Edit]:
        return [Edit_Remove(name) for name in settings.hide]
