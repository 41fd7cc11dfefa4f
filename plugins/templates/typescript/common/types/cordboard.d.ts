// The contract of Cordboard's plugins in TypeScript: what a policy may import, and what it may export.
//
// - None is `undefined` on StarlingMonkey and `null` on QuickJS: compare with `== null` or `??`. Both take either.
// - A number of 64 bits arrives as `bigint` on StarlingMonkey and as `number` on QuickJS: `Number(nowMs())`. Give a
//   `number`, which both take.
// - `@throws {Rejection}` means the value itself, `throw { status: 403, … }`; an `Error` is a trap. What the functions of
//   the host throw is an error that has the value as its `payload`.

/**
 * Shared by every host interface. `code` is an OPEN set (new codes are not a
 * breaking change); well-known: "denied" "quota" "timeout" "unavailable"
 * "not-found" "too-large" "invalid" "conflict".
 */
declare module "cordboard:host/errors@0.1.0" {
  export interface HostError {
    code: string;
    message: string;
  }
}

declare module "cordboard:host/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  /**
   * Rate-limited and length-limited by the host; connection and plugin ids
   * are added by the host, the guest cannot forge them.
   */
  export function write(level: Level, message: string, fields: [string, string][]): void;
  /** So that a guest can skip building a message nobody will see. */
  export function enabled(level: Level): boolean;
}

declare module "cordboard:host/clock@0.1.0" {
  /** Virtualised: during replay and dry-run it returns the recorded time. */
  export function nowMs(): number | bigint;
  export function monotonicNs(): number | bigint;
}

declare module "cordboard:host/random@0.1.0" {
  /** A cryptographic generator when live; its bytes are recorded, so that a replay sees the same. */
  export function getBytes(len: number): Uint8Array;
}

declare module "cordboard:host/metrics@0.1.0" {
  /**
   * Names and label keys must be declared in the plugin's manifest; the host
   * bounds series per plugin and drops (and counts) what is over the bound.
   */
  export function counterAdd(name: string, delta: number, labels: [string, string][]): void;
  export function gaugeSet(name: string, value: number, labels: [string, string][]): void;
  export function histogramRecord(name: string, value: number, labels: [string, string][]): void;
}

declare module "cordboard:host/key-value@0.1.0" {
  export type HostError = import("cordboard:host/errors@0.1.0").HostError;
  /**
   * Bounded: bytes, keys, value size and TTL come from the grant. `bucket` is
   * a name in the grant, private to the plugin unless the grant shares it.
   * @throws {{ payload: HostError }}
   */
  export function get(bucket: string, key: string): Uint8Array | null | undefined;
  /**
   * `ttl-ms` 0 = no expiry, within the grant's cap.
   * @throws {{ payload: HostError }}
   */
  export function set(bucket: string, key: string, value: Uint8Array, ttlMs: number): void;
  /** @throws {{ payload: HostError }} */
  function delete_(bucket: string, key: string): void;
  export { delete_ as delete };
  /** @throws {{ payload: HostError }} */
  export function increment(bucket: string, key: string, delta: number, ttlMs: number): number | bigint;
  /**
   * Sets only when the present value equals `expected` (none = absent).
   * @throws {{ payload: HostError }}
   */
  export function compareAndSet(bucket: string, key: string, expected: Uint8Array | null | undefined, value: Uint8Array, ttlMs: number): boolean;
}

declare module "cordboard:host/discovery@0.1.0" {
  export type HostError = import("cordboard:host/errors@0.1.0").HostError;
  export interface Endpoint {
    /** Host:port */
    address: string;
    tls: boolean;
    healthy: boolean;
    activeConnections: number;
    weight: number;
    metadata: [string, string][];
  }
  /**
   * The registry's current view; never blocks on the network for longer than
   * the call's own deadline (the host answers from its cache).
   * @throws {{ payload: HostError }}
   */
  export function lookup(serviceId: string, envTag: string | null | undefined): Endpoint[];
}

declare module "cordboard:host/http-client@0.1.0" {
  export type HostError = import("cordboard:host/errors@0.1.0").HostError;
  export interface Request {
    method: string;
    /** Host must be in the grant's allow-list */
    url: string;
    headers: [string, string][];
    body: Uint8Array;
    /** 0 = the grant's cap */
    timeoutMs: number;
  }
  export interface Response {
    status: number;
    headers: [string, string][];
    body: Uint8Array;
  }
  /**
   * Suspends the guest, not a thread. Redirects are not followed.
   * @throws {{ payload: HostError }}
   */
  export function send(req: Request): Response;
}

/**
 * Types that the plugin interfaces share. They are FROZEN: a new field or case breaks every plugin that uses the type.
 * Growth goes into new functions of imported interfaces, NEW exported interfaces, and attributes; never a function
 * added to an exported interface.
 */
declare module "cordboard:plugin/types@0.1.0" {
  /**
   * An open set of facts about a request or a connection. Names that begin with `cordboard.` are
   * the host's. A plugin's own are seen by others as `plugin-name/name`.
   */
  export type Attribute = [string, string];
  /** UTF-8 values only: the host refuses others from clients (400) and leaves others from upstreams as they are, unseen. */
  export type HeaderField = [string, string];
  export type Role =
    /** rendezvous: joined with a backend */
    | { tag: "client" }
    /** rendezvous: joined with a client */
    | { tag: "backend" }
    /** rendezvous: control channel that is told of waiting clients */
    | { tag: "listener" }
    /** router: the proxy dials the resolved service */
    | { tag: "routed" }
    /** pipeline: messages become HTTP calls; pushes come back */
    | { tag: "session" }
    /** Room to grow */
    | { tag: "other"; val: string };
  export type Direction = "to-backend" | "to-client";
  export type MessageKind = "text" | "binary";
  export type Payload = { tag: "text"; val: string } | { tag: "binary"; val: Uint8Array };
  export interface CloseFrame {
    code: number;
    reason: string;
  }
  /** A change of a header field. Hop-by-hop and Sec-WebSocket-* names are refused by the host. */
  export type Edit = { tag: "set"; val: HeaderField } | { tag: "append"; val: HeaderField } | { tag: "remove"; val: string };
  /** An HTTP answer given before any 101: the upgrade is refused. */
  export interface Rejection {
    /** 300..599, else the host answers 500 */
    status: number;
    /** short, stable: metric label and log field */
    code: string;
    /** For the operator; never sent */
    logReason: string;
    /** For the client */
    body?: string | null;
    headers: HeaderField[];
    attributes: Attribute[];
  }
  export interface Identity<Wide = number> {
    /** None = anonymous, on purpose */
    subject?: string | null;
    roles: string[];
    /** The host closes the session then (4401) */
    expiresAtMs?: Wide | null;
    /** Key for revocation; never the token */
    tokenId?: string | null;
    attributes: Attribute[];
  }
  export interface Channel {
    id: string;
    attributes: Attribute[];
  }
  export type OversizePolicy = "pass" | "drop" | "close";
}

/**
 * The HTTP request that asks to be upgraded, or, on a route that forwards plain HTTP, any request.
 * Over HTTP/2 (RFC 8441) `method` is CONNECT, `is-upgrade` is true, `header("host")` is the authority.
 * "This" request is the one of the running call; outside a call that has one, every function traps.
 */
declare module "cordboard:plugin/request@0.1.0" {
  export type RoleKind = import("cordboard:plugin/types@0.1.0").Role;
  export type IdentityInfo<Wide = number> = import("cordboard:plugin/types@0.1.0").Identity<Wide>;
  export function id(): string;
  export function isUpgrade(): boolean;
  /** "websocket" */
  export function protocol(): string | null | undefined;
  /** "1.1", "2" */
  export function httpVersion(): string;
  export function method(): string;
  /** "http", "https": as the client used it */
  export function scheme(): string;
  export function authority(): string;
  /** As received, without the query */
  export function path(): string;
  /** percent-decoded */
  export function pathSegments(): string[];
  /** As received */
  export function query(): string | null | undefined;
  /** first, percent-decoded, `+` stays `+` */
  export function queryParam(name: string): string | null | undefined;
  export function queryParams(name: string): string[];
  /** first; the host refuses non-UTF-8 values at its edge (400) */
  export function header(name: string): string | null | undefined;
  export function headerValues(name: string): string[];
  /** Lower case */
  export function headerNames(): string[];
  export function cookie(name: string): string | null | undefined;
  /** In the client's order */
  export function subprotocols(): string[];
  /** The socket's IP */
  export function peerAddress(): string;
  /** The client's IP, after trusted-proxy rules */
  export function remoteAddress(): string;
  export function clientCertificateSubject(): string | null | undefined;
  export function listener(): string;
  export function routeName(): string;
  /** Result of the steps before this one. */
  export function role(): RoleKind | null | undefined;
  export function identity(): IdentityInfo<number | bigint> | null | undefined;
  export function channelId(): string | null | undefined;
  export function attribute(name: string): string | null | undefined;
}

/** The live WebSocket connection of the running call. */
declare module "cordboard:plugin/connection@0.1.0" {
  export type RoleKind = import("cordboard:plugin/types@0.1.0").Role;
  export type IdentityInfo<Wide = number> = import("cordboard:plugin/types@0.1.0").Identity<Wide>;
  export function id(): string;
  export function role(): RoleKind;
  export function channelId(): string | null | undefined;
  export function identity(): IdentityInfo<number | bigint> | null | undefined;
  export function subprotocol(): string | null | undefined;
  /** The connection it is joined with */
  export function peerId(): string | null | undefined;
  export function openedAtMs(): number | bigint;
  export function attribute(name: string): string | null | undefined;
  /**
   * State that belongs to (connection, plugin): the HOST keeps it, bounded (default 4 KiB). An instance may
   * serve any connection and may be thrown away after any call, so nothing else survives between calls.
   */
  export function attachment(): Uint8Array;
  /** @throws {{ payload: string }} */
  export function setAttachment(bytes: Uint8Array): void;
}

/** The whole message of the running call, read piece by piece or at once. */
declare module "cordboard:plugin/message@0.1.0" {
  export type MessageDirection = import("cordboard:plugin/types@0.1.0").Direction;
  export type MessageKind = import("cordboard:plugin/types@0.1.0").MessageKind;
  export function direction(): MessageDirection;
  export function kind(): MessageKind;
  export function size(): number;
  /** None when binary; UTF-8 is checked */
  export function text(): string | null | undefined;
  export function bytes(): Uint8Array;
  export function slice(offset: number, length: number): Uint8Array;
}

/**
 * Which messages the filter wants to see; callable in `open` and `on-message` (there: from the next message on).
 * Nothing is wanted at first, and a filter that wants nothing costs nothing: frames pass untouched.
 */
declare module "cordboard:plugin/interest@0.1.0" {
  export type Direction = import("cordboard:plugin/types@0.1.0").Direction;
  export type MessageKind = import("cordboard:plugin/types@0.1.0").MessageKind;
  export type OversizePolicy = import("cordboard:plugin/types@0.1.0").OversizePolicy;
  /**
   * Once per direction and kind (a second call replaces the first). Longer messages are treated as `oversize`
   * says, without a call.
   */
  export function messages(direction: Direction, kind: MessageKind, maxBytes: number, oversize: OversizePolicy): void;
  /** From here on nothing is wanted. */
  export function nothing(): void;
}

declare module "cordboard:plugin/meta@0.1.0" {
  export interface Info {
    name: string;
    version: string;
    description: string;
  }
  /**
   * Every plugin exports this one.
   * Written as `export const meta`.
   */
  export interface Meta {
    /** May be called before `init`. */
    describe(): Info;
    /**
     * Called once in every fresh instance, before anything else, with the configuration as JSON text ("{}" when
     * absent). An error (with its text) refuses the new version: the running one stays. Failing in a
     * later instance counts as a trap. Must not depend on earlier instances.
     * @throws {string}
     */
    init(config: string): void;
  }
}

declare module "cordboard:plugin/role-detection@0.1.0" {
  export type Role = import("cordboard:plugin/types@0.1.0").Role;
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  /**
   * In all decisions `ok(none)` means "no opinion": the next plugin in the chain is asked, and last the route's own rule.
   * Written as `export const roleDetection`.
   */
  export interface RoleDetection {
    /** @throws {Rejection} */
    detectRole(): Role | null | undefined;
  }
}

declare module "cordboard:plugin/channel-extraction@0.1.0" {
  export type Channel = import("cordboard:plugin/types@0.1.0").Channel;
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  /** Written as `export const channelExtraction`. */
  export interface ChannelExtraction {
    /** @throws {Rejection} */
    extractChannel(): Channel | null | undefined;
  }
}

declare module "cordboard:plugin/service-resolution@0.1.0" {
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  export type Attribute = import("cordboard:plugin/types@0.1.0").Attribute;
  export interface ServiceRef {
    serviceId: string;
    /** "ws" "wss" "http" "https"; none = the route's default */
    scheme?: string | null;
    envTag?: string | null;
  }
  export type Target =
    /** Discovery and balancing by the host */
    | { tag: "service"; val: ServiceRef }
    /** ws://host:port; must be in the grant's allow-list */
    | { tag: "endpoint"; val: string };
  export interface Resolution {
    target: Target;
    /** None = as received */
    pathAndQuery?: string | null;
    /** consistent-hash or sticky key */
    affinityKey?: string | null;
    connectTimeoutMs?: number | null;
    attributes: Attribute[];
  }
  /** Written as `export const serviceResolution`. */
  export interface ServiceResolution {
    /** @throws {Rejection} */
    resolve(): Resolution | null | undefined;
  }
}

declare module "cordboard:plugin/pairing@0.1.0" {
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  export type PairingDecision =
    /** Complementary roles: join them */
    | "join"
    /** Same role: the newcomer takes the seat, the holder is closed (4409) */
    | "replace";
  /**
   * Asked when a seat of the channel is already taken: who is joined with whom.
   * Written as `export const pairing`.
   */
  export interface Pairing {
    /**
     * `request` is the newcomer's, `connection` the holder of the seat.
     * @throws {Rejection}
     */
    decide(): PairingDecision | null | undefined;
  }
}

declare module "cordboard:plugin/authorization@0.1.0" {
  export type Identity<Wide = number> = import("cordboard:plugin/types@0.1.0").Identity<Wide>;
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  /**
   * Unlike the others, EVERY authorizer of the chain is asked: any rejection refuses; the first identity counts.
   * Written as `export const authorization`.
   */
  export interface Authorization {
    /** @throws {Rejection} */
    authorize(): Identity | null | undefined;
  }
}

declare module "cordboard:plugin/session-authorization@0.1.0" {
  export type CloseFrame = import("cordboard:plugin/types@0.1.0").CloseFrame;
  /**
   * Re-check of an open session: on an interval, on revocation, after a swap when the configuration asks for it.
   * Written as `export const sessionAuthorization`.
   */
  export interface SessionAuthorization {
    /** @throws {CloseFrame} */
    recheck(): void;
  }
}

declare module "cordboard:plugin/request-rewriting@0.1.0" {
  export type Edit = import("cordboard:plugin/types@0.1.0").Edit;
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  /**
   * Edits of a chain add up, later ones win.
   * Written as `export const requestRewriting`.
   */
  export interface RequestRewriting {
    /** @throws {Rejection} */
    rewriteRequest(): Edit[];
  }
}

declare module "cordboard:plugin/response-rewriting@0.1.0" {
  export type HeaderField = import("cordboard:plugin/types@0.1.0").HeaderField;
  export type Edit = import("cordboard:plugin/types@0.1.0").Edit;
  export type Rejection = import("cordboard:plugin/types@0.1.0").Rejection;
  /** Written as `export const responseRewriting`. */
  export interface ResponseRewriting {
    /** @throws {Rejection} */
    rewriteResponse(status: number, headers: HeaderField[]): Edit[];
  }
}

declare module "cordboard:plugin/message-filtering@0.1.0" {
  export type Payload = import("cordboard:plugin/types@0.1.0").Payload;
  export type CloseFrame = import("cordboard:plugin/types@0.1.0").CloseFrame;
  /**
   * Carried out in order. An empty list drops the message.
   *   [forward]                 pass on unchanged (no copy back)
   *   [emit(x)]                 replace
   *   [forward, emit(x)]        pass on and inject
   *   [reply(x)]                answer the sender, forward nothing
   *   [reply(x), close(c)]      answer and close both legs
   */
  export type Action = { tag: "forward" } | { tag: "emit"; val: Payload } | { tag: "reply"; val: Payload } | { tag: "close"; val: CloseFrame };
  /** Written as `export const messageFiltering`. */
  export interface MessageFiltering {
    /** Before the 101, so that compression can be left out of the handshake when messages must be read. */
    open(): void;
    onMessage(): Action[];
  }
}

declare module "cordboard:plugin/filter-migration@0.1.0" {
  /**
   * A connection opened under another version moves to this one (policy `migrate`): take over or reset the
   * attachment; an error keeps the connection on its old version.
   * Written as `export const filterMigration`.
   */
  export interface FilterMigration {
    /** @throws {string} */
    migrate(fromVersion: string): void;
  }
}

declare module "cordboard:plugin/lifecycle@0.1.0" {
  export type Attribute = import("cordboard:plugin/types@0.1.0").Attribute;
  /**
   * `name` is an OPEN set: "opened" "paired" "unpaired" "resumed" "drained" "policy-swapped" "revoked" "idle-expired"
   * "closed" (code, reason, by, bytes and messages in and out as attributes). Ignore what you don't know.
   */
  export interface Event<Wide = number> {
    name: string;
    atMs: Wide;
    attributes: Attribute[];
  }
  /** Written as `export const lifecycle`. */
  export interface Lifecycle {
    onEvent(event: Event<number | bigint>): void;
  }
}
