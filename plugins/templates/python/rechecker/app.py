"""Ends sessions after a time, so that who it is is asked again.

How often it is asked about a session says the proxy: `plugins.NAME.recheck`.
"""

import json
from dataclasses import dataclass, field, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.imports import clock, connection
from wit_world.imports.types import CloseFrame


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    longest: int = 3600
    """Seconds that a session may last."""
    exempt: list[str] = field(default_factory=list)
    """Subjects whose sessions last as long as they like."""

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
        # `True` is an `int`, too.
        if type(settings.longest) is not int or not 0 <= settings.longest <= 604_800:
            raise ValueError("longest must be a whole number from 0 to 604800")
        if not isinstance(settings.exempt, list) or not all(isinstance(name, str) for name in settings.exempt):
            raise ValueError("exempt must be a list of texts")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Ends sessions after a time")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class SessionAuthorization(exports.SessionAuthorization):
    def recheck(self) -> None:
        identity = connection.identity()
        if identity and identity.subject in settings.exempt:
            return
        if clock.now_ms() - connection.opened_at_ms() < settings.longest * 1000:
            return
        # The Close that the session gets. 4401 asks a client to sign in and dial again.
        raise Err(CloseFrame(4401, "sign in again"))
