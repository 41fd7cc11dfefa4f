"""Who may enter: whoever has an API key that the configuration knows."""

import json
from dataclasses import dataclass, field, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.imports import request
from wit_world.imports.types import Identity, Rejection


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    keys: dict[str, str] = field(default_factory=dict)
    """Whose the keys are."""
    header: str = "x-api-key"
    """The header that a key comes in."""

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
        if not isinstance(settings.keys, dict) or not all(isinstance(text, str) for text in settings.keys.values()):
            raise ValueError("keys must map keys to subjects")
        if not isinstance(settings.header, str):
            raise ValueError("header must be a text")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Lets in who has a known API key")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class Authorization(exports.Authorization):
    def authorize(self) -> Identity | None:
        key = request.header(settings.header)
        if key is None:
            asked = ("www-authenticate", "ApiKey")
            raise rejection(401, "key-missing", "An API key is needed.\n", [asked])
        subject = settings.keys.get(key)
        if subject is None:
            raise rejection(403, "key-unknown", "This key is not known.\n")
        return Identity(subject, roles=[], expires_at_ms=None, token_id=None, attributes=[])


def rejection(status: int, code: str, body: str, headers: list[tuple[str, str]] | None = None) -> Err[Rejection]:
    return Err(Rejection(status, code, log_reason="", body=body, headers=headers or [], attributes=[]))
