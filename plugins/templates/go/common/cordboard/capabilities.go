package cordboard

import "time"

// What the host has for policies that are granted it: each is one more `import` in wit/world.wit and a grant in
// plugin.yaml and in the configuration. What a policy does not call is not in its component.

// HostError is why the host did not do it.
type HostError struct {
	// Code is of an open set; known are denied, quota, timeout, unavailable, not-found, too-large, invalid, conflict.
	Code, Message string
}

func (e *HostError) Error() string { return e.Code + ": " + e.Message }

// RandomBytes are bytes that nobody guesses. (cordboard:host/random@0.1.0, the grant `random`)
func RandomBytes(count int) []byte { return randomBytes(count) }

// AddToCounter counts in a series of the policy's own; labels are names and values. What breaks a rule of the grant is
// dropped. (cordboard:host/metrics@0.1.0, the grant `metrics`, also of the next two)
func AddToCounter(name string, delta uint64, labels ...Header) { counterAdd(name, delta, labels) }

// SetGauge says how much there is of something.
func SetGauge(name string, value float64, labels ...Header) { gaugeSet(name, value, labels) }

// RecordInHistogram says how much it was this time.
func RecordInHistogram(name string, value float64, labels ...Header) {
	histogramRecord(name, value, labels)
}

// Bucket is a store of the host by the name in its grant: it outlives calls, instances and versions. A lifetime of 0 is
// the longest of the grant. (cordboard:host/key-value@0.1.0, the grant `key_value`)
type Bucket string

// Get returns nil where there is no such key, and an empty slice where its value is empty.
func (b Bucket) Get(key string) ([]byte, error) { return bucketGet(b, key) }

// Set puts a value there.
func (b Bucket) Set(key string, value []byte, lifetime time.Duration) error {
	return bucketSet(b, key, value, milliseconds(lifetime))
}

// Delete takes it away, if it is there.
func (b Bucket) Delete(key string) error { return bucketDelete(b, key) }

// Increment adds to a number, 0 where there is none, and returns the sum. One that is there keeps the end of its life.
func (b Bucket) Increment(key string, delta int64, lifetime time.Duration) (int64, error) {
	return bucketIncrement(b, key, delta, milliseconds(lifetime))
}

// CompareAndSet puts a value in the place of the expected one, nil where there is to be none, and says whether it did.
func (b Bucket) CompareAndSet(key string, expected, value []byte, lifetime time.Duration) (bool, error) {
	return bucketCompareAndSet(b, key, expected, value, milliseconds(lifetime))
}

// Rounded up, so that only 0 is 0, which the host takes for the longest there is. A time that is over is the shortest.
func milliseconds(lifetime time.Duration) uint64 {
	if lifetime < 0 {
		return 1
	}
	whole := uint64(lifetime / time.Millisecond)
	if lifetime%time.Millisecond > 0 {
		whole++
	}
	return whole
}

// Endpoint is where a service is.
type Endpoint struct {
	// Address is host:port.
	Address           string
	TLS, Healthy      bool
	ActiveConnections uint32
	Weight            uint32
	Metadata          []Header
}

// Lookup returns the endpoints of a service, those with a tag or, where it is empty, all.
// (cordboard:host/discovery@0.1.0, the grant `discovery`)
func Lookup(service, envTag string) ([]Endpoint, error) { return lookup(service, envTag) }

// HTTPRequest is a request of the policy's own.
type HTTPRequest struct {
	// Method is GET where it is empty.
	Method, URL string
	Headers     []Header
	Body        []byte
	// Timeout 0 is the longest of the grant.
	Timeout time.Duration
}

// HTTPResponse is its answer, whatever its status.
type HTTPResponse struct {
	Status  uint16
	Headers []Header
	Body    []byte
}

// Send waits for all of the answer. (cordboard:host/http-client@0.1.0, the grant `http_client`)
func (r HTTPRequest) Send() (*HTTPResponse, error) {
	if r.Method == "" {
		r.Method = "GET"
	}
	return send(r)
}
