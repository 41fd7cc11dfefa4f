//go:build wasip1

package cordboard

import "unsafe"

type (
	hostError struct{ code, message list }
	// A result without a value, or one that is aligned as the error is.
	refusal struct {
		failed bool
		value  hostError
	}
	refusalOfU64 struct {
		failed bool
		_      [7]byte
		value  hostError
	}
	setOrNot struct {
		_      [0]uint32
		failed bool
		_      [3]byte
		value  bool
	}
	endpoint struct {
		address             list
		tls, healthy        bool
		connections, weight uint32
		metadata            list
	}
	response struct {
		status        uint16
		headers, body list
	}
)

func errorAt(at hostError) error { return &HostError{textAt(at.code), textAt(at.message)} }

// A result as read finds it, unless there is none.
func resultOf[T any](read func(result unsafe.Pointer) T) func(unsafe.Pointer) either[T] {
	return func(result unsafe.Pointer) (found either[T]) {
		if at := (*refusal)(result); at.failed {
			found.err = errorAt(at.value)
		} else {
			found.value = read(result)
		}
		return found
	}
}

type either[T any] struct {
	value T
	err   error
}

func nothing(unsafe.Pointer) struct{} { return struct{}{} }

func textPointer(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

func bytesPointer(bytes []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(bytes)), uint32(len(bytes))
}

func randomBytes(count int) []byte {
	return callingFor(count, func(result unsafe.Pointer) { hostRandom(uint32(count), result) }, readBytes)
}

func counterAdd(name string, delta uint64, labels []Header) {
	at, length := textPointer(name)
	pairs := keepHeaders(labels)
	hostCounterAdd(at, length, delta, pairs.at, pairs.length)
}

func gaugeSet(name string, value float64, labels []Header) {
	at, length := textPointer(name)
	pairs := keepHeaders(labels)
	hostGaugeSet(at, length, value, pairs.at, pairs.length)
}

func histogramRecord(name string, value float64, labels []Header) {
	at, length := textPointer(name)
	pairs := keepHeaders(labels)
	hostHistogramRecord(at, length, value, pairs.at, pairs.length)
}

func bucketGet(bucket Bucket, key string) ([]byte, error) {
	found := calling(func(result unsafe.Pointer) {
		in, inLength := textPointer(string(bucket))
		at, length := textPointer(key)
		hostGet(in, inLength, at, length, result)
	}, resultOf(func(result unsafe.Pointer) []byte {
		read := &(*good[option])(result).value
		if !read.some {
			return nil
		}
		return append([]byte{}, bytesAt(read.value)...)
	}))
	return found.value, found.err
}

func bucketSet(bucket Bucket, key string, value []byte, ttlMS uint64) error {
	return calling(func(result unsafe.Pointer) {
		in, inLength := textPointer(string(bucket))
		at, length := textPointer(key)
		bytes, count := bytesPointer(value)
		hostSet(in, inLength, at, length, bytes, count, ttlMS, result)
	}, resultOf(nothing)).err
}

func bucketDelete(bucket Bucket, key string) error {
	return calling(func(result unsafe.Pointer) {
		in, inLength := textPointer(string(bucket))
		at, length := textPointer(key)
		hostDelete(in, inLength, at, length, result)
	}, resultOf(nothing)).err
}

func bucketIncrement(bucket Bucket, key string, delta int64, ttlMS uint64) (int64, error) {
	found := calling(func(result unsafe.Pointer) {
		in, inLength := textPointer(string(bucket))
		at, length := textPointer(key)
		hostIncrement(in, inLength, at, length, delta, ttlMS, result)
	}, func(result unsafe.Pointer) (found either[int64]) {
		if at := (*refusalOfU64)(result); at.failed {
			found.err = errorAt(at.value)
		} else {
			found.value = (*good[int64])(result).value
		}
		return found
	})
	return found.value, found.err
}

func bucketCompareAndSet(bucket Bucket, key string, expected, value []byte, ttlMS uint64) (bool, error) {
	found := calling(func(result unsafe.Pointer) {
		in, inLength := textPointer(string(bucket))
		at, length := textPointer(key)
		there := uint32(0)
		if expected != nil {
			there = 1
		}
		old, oldLength := bytesPointer(expected)
		bytes, count := bytesPointer(value)
		hostCompareAndSet(in, inLength, at, length, there, old, oldLength, bytes, count, ttlMS, result)
	}, resultOf(func(result unsafe.Pointer) bool { return (*setOrNot)(result).value }))
	return found.value, found.err
}

func lookup(service, envTag string) ([]Endpoint, error) {
	found := calling(func(result unsafe.Pointer) {
		at, length := textPointer(service)
		there := uint32(0)
		if envTag != "" {
			there = 1
		}
		tag, tagLength := textPointer(envTag)
		hostLookup(at, length, there, tag, tagLength, result)
	}, resultOf(func(result unsafe.Pointer) []Endpoint {
		at := (*good[list])(result).value
		read := unsafe.Slice((*endpoint)(unsafe.Pointer(uintptr(at.at))), at.length)
		endpoints := make([]Endpoint, len(read))
		for i, each := range read {
			endpoints[i] = Endpoint{textAt(each.address), each.tls, each.healthy, each.connections, each.weight,
				headersAt(each.metadata)}
		}
		return endpoints
	}))
	return found.value, found.err
}

func send(request HTTPRequest) (*HTTPResponse, error) {
	found := calling(func(result unsafe.Pointer) {
		method, methodLength := textPointer(request.Method)
		url, urlLength := textPointer(request.URL)
		headers := keepHeaders(request.Headers)
		body, bodyLength := bytesPointer(request.Body)
		timeout := uint32(min(milliseconds(request.Timeout), 1<<32-1))
		hostSend(method, methodLength, url, urlLength, headers.at, headers.length, body, bodyLength, timeout, result)
	}, resultOf(func(result unsafe.Pointer) *HTTPResponse {
		read := &(*good[response])(result).value
		return &HTTPResponse{read.status, headersAt(read.headers), append([]byte{}, bytesAt(read.body)...)}
	}))
	return found.value, found.err
}

//go:wasmimport cordboard:host/random@0.1.0 get-bytes
func hostRandom(count uint32, result unsafe.Pointer)

//go:wasmimport cordboard:host/metrics@0.1.0 counter-add
func hostCounterAdd(name unsafe.Pointer, length uint32, delta uint64, labels, count uint32)

//go:wasmimport cordboard:host/metrics@0.1.0 gauge-set
func hostGaugeSet(name unsafe.Pointer, length uint32, value float64, labels, count uint32)

//go:wasmimport cordboard:host/metrics@0.1.0 histogram-record
func hostHistogramRecord(name unsafe.Pointer, length uint32, value float64, labels, count uint32)

//go:wasmimport cordboard:host/key-value@0.1.0 get
func hostGet(bucket unsafe.Pointer, bucketLength uint32, key unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:host/key-value@0.1.0 set
func hostSet(bucket unsafe.Pointer, bucketLength uint32, key unsafe.Pointer, length uint32,
	value unsafe.Pointer, count uint32, ttlMS uint64, result unsafe.Pointer)

//go:wasmimport cordboard:host/key-value@0.1.0 delete
func hostDelete(bucket unsafe.Pointer, bucketLength uint32, key unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport cordboard:host/key-value@0.1.0 increment
func hostIncrement(bucket unsafe.Pointer, bucketLength uint32, key unsafe.Pointer, length uint32,
	delta int64, ttlMS uint64, result unsafe.Pointer)

//go:wasmimport cordboard:host/key-value@0.1.0 compare-and-set
func hostCompareAndSet(bucket unsafe.Pointer, bucketLength uint32, key unsafe.Pointer, length uint32,
	there uint32, expected unsafe.Pointer, expectedLength uint32, value unsafe.Pointer, count uint32, ttlMS uint64,
	result unsafe.Pointer)

//go:wasmimport cordboard:host/discovery@0.1.0 lookup
func hostLookup(service unsafe.Pointer, length uint32, there uint32, tag unsafe.Pointer, tagLength uint32,
	result unsafe.Pointer)

//go:wasmimport cordboard:host/http-client@0.1.0 send
func hostSend(method unsafe.Pointer, methodLength uint32, url unsafe.Pointer, urlLength uint32,
	headers, headerCount uint32, body unsafe.Pointer, bodyLength uint32, timeoutMS uint32, result unsafe.Pointer)
