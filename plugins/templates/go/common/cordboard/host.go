//go:build wasip1

package cordboard

import (
	"errors"
	"time"
	"unsafe"
)

// What the host offers. An imported function that nothing uses is left out of the component by Go's linker, and so is
// not asked of a world that lacks it.

type (
	request    struct{}
	connection struct{}
	message    struct{}
	interest   struct{}
)

func optional(call func(result unsafe.Pointer)) (string, bool) {
	read := calling(call, readOption)
	return read.text, read.there
}

func named(call func(name unsafe.Pointer, length uint32, result unsafe.Pointer), name string) (string, bool) {
	return optional(func(result unsafe.Pointer) {
		call(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), result)
	})
}

func listed(call func(name unsafe.Pointer, length uint32, result unsafe.Pointer), name string) []string {
	return calling(func(result unsafe.Pointer) {
		call(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), result)
	}, readTexts)
}

func (request) ID() string                            { return calling(requestID, readText) }
func (request) IsUpgrade() bool                       { return requestIsUpgrade() != 0 }
func (request) Protocol() (string, bool)              { return optional(requestProtocol) }
func (request) HTTPVersion() string                   { return calling(requestHTTPVersion, readText) }
func (request) Method() string                        { return calling(requestMethod, readText) }
func (request) Scheme() string                        { return calling(requestScheme, readText) }
func (request) Authority() string                     { return calling(requestAuthority, readText) }
func (request) Path() string                          { return calling(requestPath, readText) }
func (request) PathSegments() []string                { return calling(requestPathSegments, readTexts) }
func (request) Query() (string, bool)                 { return optional(requestQuery) }
func (request) QueryParam(name string) (string, bool) { return named(requestQueryParam, name) }
func (request) QueryParams(name string) []string      { return listed(requestQueryParams, name) }
func (request) Header(name string) (string, bool)     { return named(requestHeader, name) }
func (request) HeaderValues(name string) []string     { return listed(requestHeaderValues, name) }
func (request) HeaderNames() []string                 { return calling(requestHeaderNames, readTexts) }
func (request) Cookie(name string) (string, bool)     { return named(requestCookie, name) }
func (request) Subprotocols() []string                { return calling(requestSubprotocols, readTexts) }
func (request) PeerAddress() string                   { return calling(requestPeerAddress, readText) }
func (request) RemoteAddress() string                 { return calling(requestRemoteAddress, readText) }
func (request) ClientCertificateSubject() (string, bool) {
	return optional(requestClientCertificateSubject)
}
func (request) Listener() string                     { return calling(requestListener, readText) }
func (request) RouteName() string                    { return calling(requestRouteName, readText) }
func (request) Role() Role                           { return calling(requestRole, readOptionRole) }
func (request) Identity() *Identity                  { return calling(requestIdentity, readIdentity) }
func (request) ChannelID() (string, bool)            { return optional(requestChannelID) }
func (request) Attribute(name string) (string, bool) { return named(requestAttribute, name) }

func (connection) ID() string                           { return calling(connectionID, readText) }
func (connection) Role() Role                           { return calling(connectionRole, readRole) }
func (connection) ChannelID() (string, bool)            { return optional(connectionChannelID) }
func (connection) Identity() *Identity                  { return calling(connectionIdentity, readIdentity) }
func (connection) Subprotocol() (string, bool)          { return optional(connectionSubprotocol) }
func (connection) PeerID() (string, bool)               { return optional(connectionPeerID) }
func (connection) OpenedAtMS() uint64                   { return connectionOpenedAtMS() }
func (connection) Attribute(name string) (string, bool) { return named(connectionAttribute, name) }
func (connection) Attachment() []byte                   { return calling(connectionAttachment, readBytes) }

func (connection) SetAttachment(bytes []byte) error {
	why := calling(func(result unsafe.Pointer) {
		connectionSetAttachment(unsafe.Pointer(unsafe.SliceData(bytes)), uint32(len(bytes)), result)
	}, readOption)
	if why.there {
		return errors.New(why.text)
	}
	return nil
}

func (message) Direction() Direction { return Direction(messageDirection()) }
func (message) Kind() Kind           { return Kind(messageKind()) }
func (message) Size() int            { return int(messageSize()) }
func (m message) Text() (string, bool) {
	read := callingFor(m.Size(), messageText, readOption)
	return read.text, read.there
}
func (m message) Bytes() []byte { return callingFor(m.Size(), messageBytes, readBytes) }
func (message) Slice(offset, length int) []byte {
	return callingFor(length, func(result unsafe.Pointer) {
		messageSlice(uint32(offset), uint32(length), result)
	}, readBytes)
}

func (interest) Messages(direction Direction, kind Kind, maxBytes int, oversize Oversize) {
	interestMessages(uint32(direction), uint32(kind), uint32(maxBytes), uint32(oversize))
}
func (interest) Nothing() { interestNothing() }

// Now is the time by the host's clock, which is the same again where a call is replayed.
func Now() time.Time { return time.UnixMilli(int64(clockNowMS())) }

// cordboard:plugin/request

//go:wasmimport cordboard:plugin/request@0.1.0 id
func requestID(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 is-upgrade
func requestIsUpgrade() uint32

//go:wasmimport cordboard:plugin/request@0.1.0 protocol
func requestProtocol(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 http-version
func requestHTTPVersion(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 method
func requestMethod(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 scheme
func requestScheme(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 authority
func requestAuthority(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 path
func requestPath(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 path-segments
func requestPathSegments(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 query
func requestQuery(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 query-param
func requestQueryParam(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 query-params
func requestQueryParams(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 header
func requestHeader(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 header-values
func requestHeaderValues(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 header-names
func requestHeaderNames(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 cookie
func requestCookie(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 subprotocols
func requestSubprotocols(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 peer-address
func requestPeerAddress(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 remote-address
func requestRemoteAddress(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 client-certificate-subject
func requestClientCertificateSubject(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 listener
func requestListener(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 route-name
func requestRouteName(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 role
func requestRole(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 identity
func requestIdentity(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 channel-id
func requestChannelID(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/request@0.1.0 attribute
func requestAttribute(name unsafe.Pointer, length uint32, result unsafe.Pointer)

// cordboard:plugin/connection

//go:wasmimport cordboard:plugin/connection@0.1.0 id
func connectionID(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 role
func connectionRole(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 channel-id
func connectionChannelID(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 identity
func connectionIdentity(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 subprotocol
func connectionSubprotocol(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 peer-id
func connectionPeerID(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 opened-at-ms
func connectionOpenedAtMS() uint64

//go:wasmimport cordboard:plugin/connection@0.1.0 attribute
func connectionAttribute(name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 attachment
func connectionAttachment(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/connection@0.1.0 set-attachment
func connectionSetAttachment(bytes unsafe.Pointer, length uint32, result unsafe.Pointer)

// cordboard:plugin/message

//go:wasmimport cordboard:plugin/message@0.1.0 direction
func messageDirection() uint32

//go:wasmimport cordboard:plugin/message@0.1.0 kind
func messageKind() uint32

//go:wasmimport cordboard:plugin/message@0.1.0 size
func messageSize() uint32

//go:wasmimport cordboard:plugin/message@0.1.0 text
func messageText(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/message@0.1.0 bytes
func messageBytes(result unsafe.Pointer)

//go:wasmimport cordboard:plugin/message@0.1.0 slice
func messageSlice(offset, length uint32, result unsafe.Pointer)

// cordboard:plugin/interest

//go:wasmimport cordboard:plugin/interest@0.1.0 messages
func interestMessages(direction, kind, maxBytes, oversize uint32)

//go:wasmimport cordboard:plugin/interest@0.1.0 nothing
func interestNothing()

// cordboard:host

//go:wasmimport cordboard:host/clock@0.1.0 now-ms
func clockNowMS() uint64

//go:wasmimport cordboard:host/log@0.1.0 write
func logWrite(level uint32, message unsafe.Pointer, length uint32, fields unsafe.Pointer, count uint32)
