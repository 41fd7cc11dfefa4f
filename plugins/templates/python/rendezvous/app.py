"""Who is a client, who is a backend, and on which channel they meet."""

import json
from dataclasses import dataclass, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.imports import request
from wit_world.imports.types import Channel, Rejection, Role, Role_Backend, Role_Client


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    parameter: str = "channelId"
    """The query parameter that names the channel."""
    backend: str = "connect"
    """The last segment of a backend's path."""

    @classmethod
    def read(cls, text: str) -> "Settings":
        """Raises `ValueError` with what is wrong."""
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("the configuration must be an object")
        known = [field.name for field in fields(cls)]
        for key, value in given.items():
            if key not in known:
                raise ValueError(f'unknown key "{key}"; the keys are {", ".join(known)}')
            if not isinstance(value, str):
                raise ValueError(f"{key} must be a text")
        return cls(**given)


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Joins clients and backends by path and query")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class RoleDetection(exports.RoleDetection):
    def detect_role(self) -> Role | None:
        return Role_Backend() if request.path_segments()[-1:] == [settings.backend] else Role_Client()


class ChannelExtraction(exports.ChannelExtraction):
    def extract_channel(self) -> Channel | None:
        channel = request.query_param(settings.parameter)
        if not channel:
            raise Err(
                Rejection(
                    status=400,
                    code="channel-missing",
                    log_reason=f"no query parameter {settings.parameter}",
                    body=f"Name a channel: ?{settings.parameter}=...\n",
                    headers=[],
                    attributes=[],
                )
            )
        return Channel(channel, attributes=[])
