//go:build unix && !linux

package chaos

import "errors"

// fullDisk: only Linux changes the limits of another process.
func fullDisk(int, bool) error { return errors.ErrUnsupported }
