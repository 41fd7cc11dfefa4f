//go:build !wasip1

package cordboard

import (
	"fmt"
	"os"
)

// Log writes a line to standard error: this is a test, there is no host.
func Log(level Level, message string, fields ...Header) {
	fmt.Fprintln(os.Stderr, level, message, fields)
}
