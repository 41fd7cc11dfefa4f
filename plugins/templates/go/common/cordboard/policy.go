// Package cordboard is the contract (wit/deps/cordboard-plugin/plugin.wit) in Go.
//
// A policy is asked one thing at a time. Between calls it keeps its configuration only: the host has several instances
// of it, and throws them away as it likes.
package cordboard

// Policy is what every plugin is.
type Policy interface {
	// Describe says what this component is; it may be asked before Init.
	Describe() Info
	// Init is given the configuration as JSON, once, before anything else. An error refuses it, with its text.
	Init(config string) error
}

// RoleDetector says what a connection is on its route.
type RoleDetector interface {
	// DetectRole returns NoOpinion to have the next plugin asked. A *Rejection as error refuses the request; any other
	// error ends the call, as a panic does.
	DetectRole(request Request) (Role, error)
}

// ChannelExtractor says on which channel a connection is.
type ChannelExtractor interface {
	// ExtractChannel returns nil where it has no opinion.
	ExtractChannel(request Request) (*Channel, error)
}

// ServiceResolver says whom a connection is joined with.
type ServiceResolver interface {
	// Resolve returns nil where it has no opinion.
	Resolve(request Request) (*Resolution, error)
}

// Authorizer says who it is, and whether it may enter.
type Authorizer interface {
	// Authorize returns nil where it has no opinion, which lets in.
	Authorize(request Request) (*Identity, error)
}

// SessionAuthorizer says whether an open session may go on.
type SessionAuthorizer interface {
	// Recheck returns nil where it may; otherwise it ends, with this Close.
	Recheck(connection Connection) *CloseFrame
}

// RequestRewriter says what a service learns of a request.
type RequestRewriter interface {
	// RewriteRequest returns what is changed, in order.
	RewriteRequest(request Request) ([]Edit, error)
}

// ResponseRewriter says what a client learns of an answer.
type ResponseRewriter interface {
	// RewriteResponse is given status and header of the answer; fields that are no text are not shown.
	RewriteResponse(request Request, status int, headers []Header) ([]Edit, error)
}

// Pairer says who is joined with whom where a seat is taken.
type Pairer interface {
	// Decide is asked about the holder of the newcomer's own seat, and about the one opposite. Undecided is no opinion.
	Decide(newcomer Request, holder Connection) (PairingDecision, error)
}

// Observer is told what becomes of connections.
type Observer interface {
	OnEvent(connection Connection, event Event)
}

// MessageFilter looks at messages.
type MessageFilter interface {
	// Open is asked before the connection is: what messages are wanted? Without a word nothing is.
	Open(request Request, connection Connection, interest Interest)
	// OnMessage says what becomes of a message; nothing drops it.
	OnMessage(connection Connection, message Message, interest Interest) []Action
}

// FilterMigrator takes over sessions that another version of the filter began.
type FilterMigrator interface {
	// Migrate finds the attachment of that version, and may put its own in its place. An error leaves the session there.
	Migrate(connection Connection, fromVersion string) error
}

// Info is what a component says of itself.
type Info struct{ Name, Version, Description string }

// Role is what a connection is on its route.
type Role string

// The roles; others are for hosts to come.
const (
	NoOpinion Role = ""
	Client    Role = "client"
	Backend   Role = "backend"
	Listener  Role = "listener"
	Routed    Role = "routed"
	Session   Role = "session"
)

// Attributes are facts for later hooks, and for other plugins.
type Attributes map[string]string

// Channel is where clients and backends meet.
type Channel struct {
	ID         string
	Attributes Attributes
}

// Identity is who it is. What is empty is none.
type Identity struct {
	Subject     string
	Roles       []string
	ExpiresAtMS uint64
	TokenID     string
	Attributes  Attributes
}

// Resolution is where a connection leads: to a service of the configuration or to an endpoint, ws://host:port, that is
// granted. What is empty is as the route says.
type Resolution struct {
	Service          string
	Scheme, EnvTag   string
	Endpoint         string
	PathAndQuery     string
	AffinityKey      string
	ConnectTimeoutMS uint32
	Attributes       Attributes
}

// Header is a header field.
type Header struct{ Name, Value string }

// Edit is a change of a header field.
type Edit struct {
	do    uint8
	field Header
}

const (
	doSet uint8 = iota
	doAppend
	doRemove
)

// Set puts this value in the place of all that the field has.
func Set(name, value string) Edit { return Edit{doSet, Header{name, value}} }

// Append adds a value to the field.
func Append(name, value string) Edit { return Edit{doAppend, Header{name, value}} }

// Remove takes the field out.
func Remove(name string) Edit { return Edit{doRemove, Header{Name: name}} }

// PairingDecision is what becomes of a newcomer.
type PairingDecision uint8

// The decisions.
const (
	Undecided PairingDecision = iota
	// Join joins it with the one opposite.
	Join
	// Replace gives it the seat; the holder is closed.
	Replace
)

// CloseFrame is how a session ends.
type CloseFrame struct {
	Code   uint16
	Reason string
}

// Event is something that became of a connection. Names and attributes are open sets: ignore what you do not know.
type Event struct {
	Name       string
	AtMS       uint64
	Attributes Attributes
}

// Rejection is the HTTP answer to a request that is refused. It is an error, to be returned as one.
type Rejection struct {
	// Status is 300 to 599.
	Status uint16
	// Code is short and stable, for logs and metrics.
	Code string
	// Reason is for the operator, and never sent.
	Reason     string
	Body       string
	Headers    []Header
	Attributes Attributes
}

func (r *Rejection) Error() string { return r.Code }

// Request is the request of the running call; see the contract for what is what. Tests make their own: a struct with
// this interface in it, and the methods that the policy asks.
type Request interface {
	ID() string
	IsUpgrade() bool
	Protocol() (string, bool)
	HTTPVersion() string
	Method() string
	Scheme() string
	Authority() string
	// Path is as received, without the query.
	Path() string
	// PathSegments are percent-decoded.
	PathSegments() []string
	Query() (string, bool)
	// QueryParam is the first of this name, percent-decoded.
	QueryParam(name string) (string, bool)
	QueryParams(name string) []string
	// Header is the first of this name, in any case.
	Header(name string) (string, bool)
	HeaderValues(name string) []string
	HeaderNames() []string
	Cookie(name string) (string, bool)
	Subprotocols() []string
	PeerAddress() string
	RemoteAddress() string
	ClientCertificateSubject() (string, bool)
	Listener() string
	RouteName() string
	// Role, Identity and ChannelID are what the steps before said: NoOpinion, nil and false where that is nothing.
	Role() Role
	Identity() *Identity
	ChannelID() (string, bool)
	Attribute(name string) (string, bool)
}

// Connection is the connection of the running call.
type Connection interface {
	ID() string
	Role() Role
	ChannelID() (string, bool)
	Identity() *Identity
	Subprotocol() (string, bool)
	PeerID() (string, bool)
	OpenedAtMS() uint64
	Attribute(name string) (string, bool)
	// Attachment is what the host keeps for this plugin of this connection, 4 KiB at most; nothing else lasts.
	Attachment() []byte
	SetAttachment(bytes []byte) error
}

// Message is the whole message of the running call.
type Message interface {
	Direction() Direction
	Kind() Kind
	Size() int
	// Text is false for a binary message.
	Text() (string, bool)
	Bytes() []byte
	Slice(offset, length int) []byte
}

// Interest is what a filter wants to see, from the next message on.
type Interest interface {
	// Messages are wanted up to a size; longer ones are treated as oversize says.
	Messages(direction Direction, kind Kind, maxBytes int, oversize Oversize)
	// Nothing is wanted any more.
	Nothing()
}

// Direction is where a message goes.
type Direction uint32

// The directions.
const (
	ToBackend Direction = iota
	ToClient
)

// Kind is what a message is.
type Kind uint32

// The kinds.
const (
	Text Kind = iota
	Binary
)

// Oversize is what becomes of longer messages.
type Oversize uint32

// What may become of them.
const (
	Pass Oversize = iota
	Drop
	Close
)

// Action is something to do about a message. They are carried out in order.
type Action struct {
	do     uint8
	kind   Kind
	bytes  string
	code   uint16
	reason string
}

const (
	doForward uint8 = iota
	doEmit
	doReply
	doClose
)

// Forward passes the message on unchanged.
func Forward() Action { return Action{do: doForward} }

// Emit passes on a text: in place of the message, or beside it.
func Emit(text string) Action { return Action{do: doEmit, bytes: text} }

// EmitBinary passes on a binary message.
func EmitBinary(bytes []byte) Action { return Action{do: doEmit, kind: Binary, bytes: string(bytes)} }

// Reply answers the sender with a text.
func Reply(text string) Action { return Action{do: doReply, bytes: text} }

// ReplyBinary answers the sender with a binary message.
func ReplyBinary(bytes []byte) Action { return Action{do: doReply, kind: Binary, bytes: string(bytes)} }

// CloseWith closes both sides.
func CloseWith(code uint16, reason string) Action {
	return Action{do: doClose, code: code, reason: reason}
}

// Level is how much a line of the log matters.
type Level uint32

// The levels.
const (
	Trace Level = iota
	Debug
	Notice
	Warn
	Error
)
