//go:build wasip1

package cordboard

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// How values cross the border (the component model's canonical ABI, by hand).
//
// In: the host asks for memory by calling cabi_realloc, also in the middle of a function that we have called. Nothing
// of Go's runtime may happen there: a collection asks WASI for the time, and the component model forbids calls to the
// outside at that moment: a trap, "cannot leave component instance", now and then. So that memory is a static array, of
// which nothing is collected, and every value is copied out of it at once.
//
// Out: what a function returns is laid out in Go's memory, which does not move. Pointers are 32 bits wide there and 64
// here, so that the collector does not see them: `kept` keeps what they lead to until the next call.

// The bound of what is handed over in one call; messages may be larger, see callingFor. Pages that are never touched
// cost nothing.
const arenaSize = 4 << 20

var (
	static [arenaSize / 8]uint64
	// The arena in use, and what of it is taken; the first `floor` bytes are the WASI adapter's, for good.
	arena       = unsafe.Pointer(&static)
	size        = uintptr(arenaSize)
	used, floor uintptr
	// Where imported functions leave their result. Not on the stack: that moves when it grows.
	result [16]uint64
	kept   []any
)

// By now Go's runtime has called WASI, and the adapter has what it asked for.
func init() { floor = used }

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	mask := uintptr(align) - 1
	begin := (uintptr(arena)+used+mask)&^mask - uintptr(arena)
	if begin+uintptr(newSize) > size {
		panic("the host hands over more than arenaSize in cordboard/glue.go")
	}
	memory := unsafe.Add(arena, begin)
	used = begin + uintptr(newSize)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(memory), newSize), unsafe.Slice((*byte)(old), oldSize))
	}
	return memory
}

// Runs an imported function that leaves its result in `result`; whatever it allocated is free again once `read` has
// copied it.
func calling[T any](call func(result unsafe.Pointer), read func(result unsafe.Pointer) T) T {
	before := used
	call(unsafe.Pointer(&result))
	value := read(unsafe.Pointer(&result))
	used = before
	return value
}

// As calling, for a result that may be larger than the arena.
func callingFor[T any](bytes int, call func(result unsafe.Pointer), read func(result unsafe.Pointer) T) T {
	if uintptr(bytes) <= size-used {
		return calling(call, read)
	}
	arenaBefore, sizeBefore, usedBefore := arena, size, used
	large := make([]uint64, bytes/8+1)
	arena, size, used = unsafe.Pointer(&large[0]), uintptr(len(large)*8), 0
	value := calling(call, read)
	arena, size, used = arenaBefore, sizeBefore, usedBefore
	return value
}

// Begins a call of the host: nothing of the one before is needed any more, and the arguments have been copied.
func begin() {
	used = floor
	clear(kept)
	kept = kept[:0]
}

// Ends a call that panics: the host answers for it, and throws this instance away. The runtime would tell of the panic in
// dozens of pieces, each a line of the log; so it is told here, in one.
func ended() {
	why := recover()
	if why == nil {
		return
	}
	said := fmt.Sprint("panic: ", why)
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if strings.Contains(frame.Function, "/cordboard.Call") {
			break
		}
		if !strings.HasPrefix(frame.Function, "runtime.") {
			said += fmt.Sprintf("\n  %s (%s:%d)", frame.Function, path.Base(frame.File), frame.Line)
		}
	}
	Log(Error, said)
	os.Exit(2)
}

// Values as they lie in memory; fields with other alignments have their padding from Go itself.
type (
	list   struct{ at, length uint32 }
	option struct {
		some  bool
		value list
	}
	pair    struct{ name, value list }
	variant struct {
		tag   uint8
		value list
	}
	optionRole struct {
		some  bool
		value variant
	}
	rejection struct {
		status              uint16
		code, reason        list
		body                option
		headers, attributes list
	}
	channel  struct{ id, attributes list }
	identity struct {
		subject    option
		roles      list
		expires    optionU64
		tokenID    option
		attributes list
	}
	optionU64 struct {
		some  bool
		value uint64
	}
	optionU32 struct {
		some  bool
		value uint32
	}
	optionIdentity struct {
		some  bool
		value identity
	}
	optionChannel struct {
		some  bool
		value channel
	}
	resolution struct {
		tag                       uint8
		service                   list // or the endpoint
		scheme, envTag            option
		pathAndQuery, affinityKey option
		connectTimeout            optionU32
		attributes                list
	}
	optionResolution struct {
		some  bool
		value resolution
	}
	edit struct {
		tag         uint8
		name, value list
	}
	info   struct{ name, version, description list }
	action struct {
		tag     uint8
		_       [3]byte
		kind    uint8 // of the payload
		payload list
	}
	closing struct {
		tag    uint8
		_      [3]byte
		code   uint16
		reason list
	}
	// A result: what it is and, behind that, what was good or what was not.
	good[T any] struct {
		failed bool
		value  T
	}
	refused struct {
		failed bool
		value  rejection
	}
	// Where what is good is aligned to 8 bytes, what is not begins there too.
	refusedIdentity struct {
		failed bool
		_      [7]byte
		value  rejection
	}
	// So does what is good where only what is not is aligned; Go itself would align bytes to nothing.
	paired struct {
		_        [0]uint32
		failed   bool
		_        [3]byte
		some     bool
		decision uint8
	}
	closeFrame struct {
		code   uint16
		reason list
	}
	ending struct {
		failed bool
		value  closeFrame
	}
	failed struct {
		failed bool
		value  list
	}
)

func address(at unsafe.Pointer) uint32 { return uint32(uintptr(at)) }

// Hands a value to the host, until the next call.
func keep[T any](value T) uint32 {
	pointer := &value
	kept = append(kept, pointer)
	return address(unsafe.Pointer(pointer))
}

func keepList[T any](values []T) list {
	if len(values) == 0 {
		return list{}
	}
	kept = append(kept, values)
	return list{address(unsafe.Pointer(&values[0])), uint32(len(values))}
}

func keepText(text string) list {
	if text == "" {
		return list{}
	}
	kept = append(kept, text)
	return list{address(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text))}
}

// Empty is none.
func keepOption(text string) option { return option{text != "", keepText(text)} }

func keepTexts(texts []string) list {
	lists := make([]list, len(texts))
	for i, text := range texts {
		lists[i] = keepText(text)
	}
	return keepList(lists)
}

func keepHeaders(headers []Header) list {
	pairs := make([]pair, len(headers))
	for i, header := range headers {
		pairs[i] = pair{keepText(header.Name), keepText(header.Value)}
	}
	return keepList(pairs)
}

func keepEdits(edits []Edit) list {
	kept := make([]edit, len(edits))
	for i, each := range edits {
		kept[i] = edit{each.do, keepText(each.field.Name), keepText(each.field.Value)}
	}
	return keepList(kept)
}

func keepAttributes(attributes Attributes) list {
	pairs := make([]pair, 0, len(attributes))
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		pairs = append(pairs, pair{keepText(name), keepText(attributes[name])})
	}
	return keepList(pairs)
}

func keepRejection(err error) rejection {
	var r *Rejection
	if !errors.As(err, &r) {
		panic(err) // the call failed, and the host answers for it
	}
	return rejection{
		status:     r.Status,
		code:       keepText(r.Code),
		reason:     keepText(r.Reason),
		body:       keepOption(r.Body),
		headers:    keepHeaders(r.Headers),
		attributes: keepAttributes(r.Attributes),
	}
}

func bytesAt(at list) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at.at))), at.length)
}

func textAt(at list) string { return string(bytesAt(at)) }

func readText(from unsafe.Pointer) string { return textAt(*(*list)(from)) }

func readBytes(from unsafe.Pointer) []byte { return slices.Clone(bytesAt(*(*list)(from))) }

type maybe struct {
	text  string
	there bool
}

func readOption(from unsafe.Pointer) maybe {
	read := (*option)(from)
	if !read.some {
		return maybe{}
	}
	return maybe{textAt(read.value), true}
}

func textsAt(at list) []string {
	lists := unsafe.Slice((*list)(unsafe.Pointer(uintptr(at.at))), at.length)
	texts := make([]string, len(lists))
	for i, item := range lists {
		texts[i] = textAt(item)
	}
	return texts
}

func readTexts(from unsafe.Pointer) []string { return textsAt(*(*list)(from)) }

func pairsAt(at list) []pair {
	return unsafe.Slice((*pair)(unsafe.Pointer(uintptr(at.at))), at.length)
}

func headersAt(at list) []Header {
	pairs := pairsAt(at)
	headers := make([]Header, len(pairs))
	for i, each := range pairs {
		headers[i] = Header{textAt(each.name), textAt(each.value)}
	}
	return headers
}

func attributesAt(at list) Attributes {
	attributes := Attributes{}
	for _, each := range pairsAt(at) {
		attributes[textAt(each.name)] = textAt(each.value)
	}
	return attributes
}

// In the order of the contract.
var roles = []Role{Client, Backend, Listener, Routed, Session}

func roleAt(at variant) Role {
	if int(at.tag) < len(roles) {
		return roles[at.tag]
	}
	return Role(textAt(at.value))
}

func readRole(from unsafe.Pointer) Role { return roleAt(*(*variant)(from)) }

func readOptionRole(from unsafe.Pointer) Role {
	read := (*optionRole)(from)
	if !read.some {
		return NoOpinion
	}
	return roleAt(read.value)
}

func readIdentity(from unsafe.Pointer) *Identity {
	read := (*optionIdentity)(from)
	if !read.some {
		return nil
	}
	at := &read.value
	found := Identity{Roles: textsAt(at.roles), Attributes: attributesAt(at.attributes)}
	if at.subject.some {
		found.Subject = textAt(at.subject.value)
	}
	if at.expires.some {
		found.ExpiresAtMS = at.expires.value
	}
	if at.tokenID.some {
		found.TokenID = textAt(at.tokenID.value)
	}
	return &found
}

// CallDescribe is meta#describe.
func CallDescribe(policy Policy) uint32 {
	defer ended()
	begin()
	said := policy.Describe()
	return keep(info{keepText(said.Name), keepText(said.Version), keepText(said.Description)})
}

// CallInit is meta#init.
func CallInit(policy Policy, at, length uint32) uint32 {
	defer ended()
	config := textAt(list{at, length})
	begin()
	if err := policy.Init(config); err != nil {
		return keep(failed{true, keepText(err.Error())})
	}
	return keep(failed{})
}

// CallDetectRole is role-detection#detect-role.
func CallDetectRole(policy RoleDetector) uint32 {
	defer ended()
	begin()
	role, err := policy.DetectRole(request{})
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	if role == NoOpinion {
		return keep(good[optionRole]{})
	}
	said := variant{tag: uint8(len(roles)), value: keepText(string(role))}
	if known := slices.Index(roles, role); known >= 0 {
		said = variant{tag: uint8(known)}
	}
	return keep(good[optionRole]{value: optionRole{true, said}})
}

// CallExtractChannel is channel-extraction#extract-channel.
func CallExtractChannel(policy ChannelExtractor) uint32 {
	defer ended()
	begin()
	said, err := policy.ExtractChannel(request{})
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	if said == nil {
		return keep(good[optionChannel]{})
	}
	found := channel{keepText(said.ID), keepAttributes(said.Attributes)}
	return keep(good[optionChannel]{value: optionChannel{true, found}})
}

// CallResolve is service-resolution#resolve.
func CallResolve(policy ServiceResolver) uint32 {
	defer ended()
	begin()
	said, err := policy.Resolve(request{})
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	if said == nil {
		return keep(good[optionResolution]{})
	}
	found := resolution{
		service:        keepText(said.Service),
		scheme:         keepOption(said.Scheme),
		envTag:         keepOption(said.EnvTag),
		pathAndQuery:   keepOption(said.PathAndQuery),
		affinityKey:    keepOption(said.AffinityKey),
		connectTimeout: optionU32{said.ConnectTimeoutMS != 0, said.ConnectTimeoutMS},
		attributes:     keepAttributes(said.Attributes),
	}
	if said.Endpoint != "" {
		found.tag, found.service = 1, keepText(said.Endpoint)
	}
	return keep(good[optionResolution]{value: optionResolution{true, found}})
}

// CallAuthorize is authorization#authorize.
func CallAuthorize(policy Authorizer) uint32 {
	defer ended()
	begin()
	said, err := policy.Authorize(request{})
	if err != nil {
		return keep(refusedIdentity{failed: true, value: keepRejection(err)})
	}
	if said == nil {
		return keep(good[optionIdentity]{})
	}
	return keep(good[optionIdentity]{value: optionIdentity{true, identity{
		subject:    keepOption(said.Subject),
		roles:      keepTexts(said.Roles),
		expires:    optionU64{said.ExpiresAtMS != 0, said.ExpiresAtMS},
		tokenID:    keepOption(said.TokenID),
		attributes: keepAttributes(said.Attributes),
	}}})
}

// CallRecheck is session-authorization#recheck.
func CallRecheck(policy SessionAuthorizer) uint32 {
	defer ended()
	begin()
	said := policy.Recheck(connection{})
	if said == nil {
		return keep(ending{})
	}
	return keep(ending{true, closeFrame{said.Code, keepText(said.Reason)}})
}

// CallRewriteRequest is request-rewriting#rewrite-request.
func CallRewriteRequest(policy RequestRewriter) uint32 {
	defer ended()
	begin()
	said, err := policy.RewriteRequest(request{})
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	return keep(good[list]{value: keepEdits(said)})
}

// CallRewriteResponse is response-rewriting#rewrite-response.
func CallRewriteResponse(policy ResponseRewriter, status, at, length uint32) uint32 {
	defer ended()
	headers := headersAt(list{at, length})
	begin()
	said, err := policy.RewriteResponse(request{}, int(status), headers)
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	return keep(good[list]{value: keepEdits(said)})
}

// CallDecide is pairing#decide.
func CallDecide(policy Pairer) uint32 {
	defer ended()
	begin()
	said, err := policy.Decide(request{}, connection{})
	if err != nil {
		return keep(refused{true, keepRejection(err)})
	}
	if said == Undecided {
		return keep(paired{})
	}
	return keep(paired{some: true, decision: uint8(said - Join)})
}

// CallOnEvent is lifecycle#on-event.
func CallOnEvent(policy Observer, nameAt, nameLength uint32, atMS uint64, at, length uint32) {
	defer ended()
	event := Event{textAt(list{nameAt, nameLength}), atMS, attributesAt(list{at, length})}
	begin()
	policy.OnEvent(connection{}, event)
}

// CallOpen is message-filtering#open.
func CallOpen(policy MessageFilter) {
	defer ended()
	begin()
	policy.Open(request{}, connection{}, interest{})
}

// CallOnMessage is message-filtering#on-message.
func CallOnMessage(policy MessageFilter) uint32 {
	defer ended()
	begin()
	said := policy.OnMessage(connection{}, message{}, interest{})
	actions := make([]action, len(said))
	for i, each := range said {
		actions[i] = action{tag: each.do, kind: uint8(each.kind), payload: keepText(each.bytes)}
		if each.do == doClose {
			*(*closing)(unsafe.Pointer(&actions[i])) = closing{tag: each.do, code: each.code, reason: keepText(each.reason)}
		}
	}
	return keep(keepList(actions))
}

// CallMigrate is filter-migration#migrate.
func CallMigrate(policy FilterMigrator, at, length uint32) uint32 {
	defer ended()
	from := textAt(list{at, length})
	begin()
	if err := policy.Migrate(connection{}, from); err != nil {
		return keep(failed{true, keepText(err.Error())})
	}
	return keep(failed{})
}

// Log writes a line to the proxy's log, which bounds how long and how many they are.
func Log(level Level, message string, fields ...Header) {
	at := keepHeaders(fields)
	logWrite(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)),
		unsafe.Pointer(uintptr(at.at)), at.length)
}

// Logf writes a line that is put together.
func Logf(level Level, format string, values ...any) { Log(level, fmt.Sprintf(format, values...)) }
