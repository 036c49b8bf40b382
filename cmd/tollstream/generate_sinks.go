package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// lineFile is a file that has its name only when it is whole.
type lineFile struct {
	path string
	file *os.File
	out  *bufio.Writer
	done bool
}

func createLines(path string) (*lineFile, error) {
	f, err := os.Create(path + ".partial")
	if err != nil {
		return nil, fmt.Errorf("--out-dir: %w", err)
	}
	return &lineFile{path: path, file: f, out: bufio.NewWriterSize(f, 1<<18)}, nil
}

// line writes a record with its arrival. Errors stay in the writer until it is flushed.
func (l *lineFile) line(value []byte, arrived string) error {
	if n := len(value); n > 2 && value[0] == '{' && value[n-1] == '}' {
		_, _ = l.out.Write(value[:n-1])
		_, _ = l.out.WriteString(`,"arrived_at":"` + arrived + `"}`)
	} else {
		_, _ = l.out.Write(value)
	}
	return l.out.WriteByte('\n')
}

func (l *lineFile) finish() error {
	if err := errors.Join(l.out.Flush(), l.file.Close()); err != nil {
		return fmt.Errorf("--out-dir: %w", err)
	}
	l.done = true
	return os.Rename(l.path+".partial", l.path)
}

func (l *lineFile) discard() {
	if !l.done {
		_ = l.file.Close()
		_ = os.Remove(l.path + ".partial")
	}
}
