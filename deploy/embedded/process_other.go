//go:build unix && !linux

package embedded

import "syscall"

// childAttributes: here only the closing of its stdin tells the child that this process died.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
