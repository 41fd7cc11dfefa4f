//go:build !wasip1

package cordboard

import (
	"fmt"
	"os"
	"time"
)

// This is a test, there is no host.

// Now is the time.
func Now() time.Time { return time.Now() }

// Log writes a line to standard error.
func Log(level Level, message string, fields ...Header) {
	fmt.Fprintln(os.Stderr, level, message, fields)
}
