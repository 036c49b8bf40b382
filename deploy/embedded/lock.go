package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folderLock is held on DataDir/LOCK while a server uses the folder. The kernel drops it when the
// process dies, so a kill -9 leaves no stale lock; the pid inside is only there for the message.
type folderLock struct{ file *os.File }

func lockFolder(dir string) (*folderLock, error) {
	if dir == "" {
		return nil, errors.New("data folder is not set: name a folder the server may own")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be created: %w", dir, err)
	}
	path := filepath.Join(dir, "LOCK")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder %s cannot be used: %w: "+
			"make it readable and writable for this user", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := holderOf(file)
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data folder %s is in use by %s: "+
				"stop that process or choose another folder", dir, holder)
		}
		return nil, fmt.Errorf("data folder %s cannot be locked: %w", dir, err)
	}
	if err := file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("data folder %s cannot be written: %w", dir, err)
		}
	}
	return &folderLock{file: file}, nil
}

func holderOf(file *os.File) string {
	const pidBytesMax = 20
	text, _ := io.ReadAll(io.NewSectionReader(file, 0, pidBytesMax))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "another process"
	}
	return "process " + strconv.Itoa(pid)
}

// release keeps the file: removing it would let two processes lock two files of the same name.
func (l *folderLock) release() {
	if l != nil && l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
