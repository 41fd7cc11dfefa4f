"""A line in the log for each session that ends: how long it was, whose, and why it ended."""

import json
from dataclasses import dataclass, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import Event
from wit_world.exports.meta import Info
from wit_world.imports import connection, log

NO_CLOSE = "1006"
"""What stands in for a Close where there was none (RFC 6455 §7.1.5)."""


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    broken: bool = False
    """Only of sessions that broke, without a Close."""

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
        if not isinstance(settings.broken, bool):
            raise ValueError("broken must be true or false")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# event may be told to another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Logs how sessions end")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class Lifecycle(exports.Lifecycle):
    # Told beside the data path: nothing waits for this, and nothing can be decided here.
    def on_event(self, event: Event) -> None:
        # Names and attributes are open sets: what is not known is ignored.
        if event.name != "closed":
            return
        said = dict(event.attributes)
        is_broken = said.get("code") == NO_CLOSE
        if settings.broken and not is_broken:
            return
        identity = connection.identity()
        subject = identity.subject if identity else None
        level, message = (
            (log.Level.WARN, "a session broke") if is_broken else (log.Level.INFO, "a session ended")
        )
        log.write(
            level,
            message,
            [
                ("seconds", str(max(event.at_ms - connection.opened_at_ms(), 0) // 1000)),
                ("subject", "?" if subject is None else subject),
                ("by", said.get("by", "?")),
                ("code", said.get("code", "?")),
            ],
        )
