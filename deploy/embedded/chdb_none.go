//go:build nochdb

package embedded

import "fmt"

// bind refuses: with the tag nochdb the program is static, as its container image needs it.
func bind(path string, _ map[string]any) error {
	return fmt.Errorf("load %s: this program was built with the tag nochdb, as in its container "+
		"image, and has no embedded ClickHouse; use one that was built by make build", path)
}
