"""Masks words in messages, and ends sessions in which that happens too often."""

import json
from dataclasses import dataclass, field, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.message_filtering import Action, Action_Close, Action_Emit, Action_Forward
from wit_world.exports.meta import Info
from wit_world.imports import connection, interest, log, message
from wit_world.imports.types import CloseFrame, Direction, MessageKind, OversizePolicy, Payload_Text


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    words: list[str] = field(default_factory=lambda: ["secret"])
    """What is masked."""
    most: int = 3
    """How many messages of a session may be masked."""

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
        if not isinstance(settings.words, list) or not all(isinstance(word, str) for word in settings.words):
            raise ValueError("words must be a list of texts")
        # `True` is an `int`, too.
        if type(settings.most) is not int or not 0 <= settings.most <= 1_000_000:
            raise ValueError("most must be a whole number from 0 to 1000000")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# message may be shown to another instance. What belongs to a connection is kept by the host, as its attachment.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Masks words in messages")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class MessageFiltering(exports.MessageFiltering):
    def open(self) -> None:
        for direction in Direction:
            interest.messages(direction, MessageKind.TEXT, 65536, OversizePolicy.PASS)

    def on_message(self) -> list[Action]:
        text = message.text() or ""
        if not any(word in text for word in settings.words):
            return [Action_Forward()]

        masked = int(connection.attachment() or b"0") + 1
        if masked > settings.most:
            return [Action_Close(CloseFrame(1008, "too many masked messages"))]
        try:
            connection.set_attachment(str(masked).encode())
        except Err as error:
            log.write(log.Level.WARN, f"the count was not kept: {error.value}", [])
        for word in settings.words:
            text = text.replace(word, "***")
        return [Action_Emit(Payload_Text(text))]


class FilterMigration(exports.FilterMigration):
    # Whether this version takes over a session that another one began (`reload.sessions: migrate`), with what that one
    # kept of it. An `Err` leaves the session where it is.
    def migrate(self, from_version: str) -> None:
        kept = connection.attachment()
        if kept and not kept.isdigit():
            raise Err(f"{from_version} kept something else than a count")
