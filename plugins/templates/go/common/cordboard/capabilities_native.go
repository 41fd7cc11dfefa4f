//go:build !wasip1

package cordboard

import (
	"bytes"
	"crypto/rand"
	"strconv"
)

// What a test says the host would.
var (
	// Kept is what is in the buckets; nothing in it ends by itself, and a key without a value is not there. nil is empty.
	Kept = map[Bucket]map[string][]byte{}
	// Endpoints are those of each service.
	Endpoints = map[string][]Endpoint{}
	// Answer is what requests get.
	Answer = func(HTTPRequest) (*HTTPResponse, error) {
		return nil, &HostError{"unavailable", "the test has not said what is answered"}
	}
)

func randomBytes(count int) []byte {
	some := make([]byte, count)
	rand.Read(some)
	return some
}

func counterAdd(string, uint64, []Header)       {}
func gaugeSet(string, float64, []Header)        {}
func histogramRecord(string, float64, []Header) {}

func bucketGet(bucket Bucket, key string) ([]byte, error) { return Kept[bucket][key], nil }

func bucketSet(bucket Bucket, key string, value []byte, _ uint64) error {
	if Kept == nil {
		Kept = map[Bucket]map[string][]byte{}
	}
	if Kept[bucket] == nil {
		Kept[bucket] = map[string][]byte{}
	}
	Kept[bucket][key] = append([]byte{}, value...)
	return nil
}

func bucketDelete(bucket Bucket, key string) error {
	delete(Kept[bucket], key)
	return nil
}

func bucketIncrement(bucket Bucket, key string, delta int64, ttlMS uint64) (int64, error) {
	number := int64(0)
	if there := Kept[bucket][key]; there != nil {
		var err error
		if number, err = strconv.ParseInt(string(there), 10, 64); err != nil {
			return 0, &HostError{"conflict", "it is no number"}
		}
	}
	number += delta
	return number, bucketSet(bucket, key, strconv.AppendInt(nil, number, 10), ttlMS)
}

func bucketCompareAndSet(bucket Bucket, key string, expected, value []byte, ttlMS uint64) (bool, error) {
	there := Kept[bucket][key]
	if (there == nil) != (expected == nil) || !bytes.Equal(there, expected) {
		return false, nil
	}
	return true, bucketSet(bucket, key, value, ttlMS)
}

func lookup(service, envTag string) ([]Endpoint, error) {
	endpoints, there := Endpoints[service]
	if !there {
		return nil, &HostError{"not-found", "there is no such service"}
	}
	tagged := []Endpoint{}
	for _, each := range endpoints {
		for _, fact := range each.Metadata {
			if fact == (Header{"env_tag", envTag}) {
				tagged = append(tagged, each)
			}
		}
	}
	if envTag == "" {
		return endpoints, nil
	}
	return tagged, nil
}

func send(request HTTPRequest) (*HTTPResponse, error) { return Answer(request) }
