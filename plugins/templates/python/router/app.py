"""Which service a path leads to."""

import json
from dataclasses import dataclass, field, fields

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.meta import Info
from wit_world.exports.service_resolution import Resolution, ServiceRef, Target_Service
from wit_world.imports import request
from wit_world.imports.types import Channel, Role, Role_Routed


@dataclass(frozen=True)
class Settings:
    """What the configuration may say, and what holds where it says nothing."""

    services: dict[str, str] = field(default_factory=lambda: {"/ws/echo": "echo"})
    """Services by the paths that lead to them."""

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
        if not isinstance(settings.services, dict) or not all(isinstance(text, str) for text in settings.services.values()):
            raise ValueError("services must map paths to services")
        return settings

    def service(self, path: str) -> str | None:
        """The service of the longest of the paths that this one is, or is below."""
        above = [key for key in self.services if path == key or path.startswith(key + "/")]
        return self.services[max(above, key=len)] if above else None


# Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
# one may be answered by another instance.
settings = Settings()


class Meta(exports.Meta):
    def describe(self) -> Info:
        return Info("{{name}}", "0.1.0", "Leads paths to services")

    def init(self, config: str) -> None:
        global settings
        try:
            settings = Settings.read(config)
        except ValueError as error:
            # What the contract calls an error is raised as `Err`; any other exception is a failure of the policy.
            raise Err(str(error)) from error


class RoleDetection(exports.RoleDetection):
    def detect_role(self) -> Role | None:
        return Role_Routed() if settings.service(request.path()) is not None else None


class ChannelExtraction(exports.ChannelExtraction):
    def extract_channel(self) -> Channel | None:
        channel = request.header("x-group-id")
        return Channel(channel, attributes=[]) if channel else None  # None is no opinion


class ServiceResolution(exports.ServiceResolution):
    def resolve(self) -> Resolution | None:
        service = settings.service(request.path())
        if service is None:
            return None
        return Resolution(
            target=Target_Service(ServiceRef(service, scheme=None, env_tag=None)),
            path_and_query=None,
            affinity_key=None,
            connect_timeout_ms=None,
            attributes=[],
        )
