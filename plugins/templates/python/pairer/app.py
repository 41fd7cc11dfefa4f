"""Who comes back takes the seat that it still holds, as after a page was loaded anew."""

import json
from dataclasses import dataclass, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.exports.pairing import PairingDecision
from wit_world.imports import clock, connection, request
from wit_world.imports.types import Identity, Rejection


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    patience: int = 10
    """Seconds for which a seat is not taken again, so that two pages do not fight."""

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
        if type(settings.patience) is not int or not 0 <= settings.patience <= 3600:
            raise ValueError("patience must be a whole number from 0 to 3600")
        return settings


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Gives a seat back to who comes back")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class Pairing(exports.Pairing):
    def decide(self) -> PairingDecision | None:
        # The request is the newcomer's, the connection the holder's. Asked about the one on the other side as well,
        # whom it is to be joined with.
        is_same_seat = request.role() == connection.role()
        who = subject(request.identity())
        if not is_same_seat or who is None or who != subject(connection.identity()):
            return None  # no opinion: the next plugin is asked, and last the route's rule holds
        if clock.now_ms() - connection.opened_at_ms() < settings.patience * 1000:
            raise Err(
                Rejection(
                    status=429,
                    code="too-soon",
                    log_reason="",
                    body="This seat was taken a moment ago.\n",
                    headers=[("retry-after", str(settings.patience))],
                    attributes=[],
                )
            )
        return PairingDecision.REPLACE


def subject(identity: Identity | None) -> str | None:
    """Who it is, as an authorizer said. None is somebody without a name: two of them are not the same."""
    return identity.subject if identity else None
