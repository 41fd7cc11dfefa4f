package cordboard

import (
	"math"
	"testing"
	"time"
)

// Only 0 is 0, which is the longest there is.
func TestALifetimeIsRoundedUpAndOneThatIsOverIsTheShortest(t *testing.T) {
	for lifetime, wanted := range map[time.Duration]uint64{
		0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, -1: 1, -time.Hour: 1,
		math.MaxInt64: math.MaxInt64/1_000_000 + 1,
	} {
		if got := milliseconds(lifetime); got != wanted {
			t.Errorf("%v is %d ms, not %d", lifetime, got, wanted)
		}
	}
}
