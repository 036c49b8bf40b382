package embedded

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// externalBytesMax bounds one external table; they are lists of keys, not data sets.
const externalBytesMax = 64 << 20

// formMemoryMax is what a multipart form keeps in memory; the rest goes to temporary files.
const formMemoryMax = 8 << 20

// readBody finds the plain bytes of the request: it undoes the encodings of the body and takes a
// form with external tables apart.
func (q *request) readBody(r *http.Request, values url.Values) error {
	kind := r.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "multipart/form-data") {
		q.body = strings.NewReader("")
		return q.readForm(r, values)
	}
	body, err := decoded(r.Body, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	if q.decompress {
		body = newFrameReader(body)
	}
	q.body = body
	return nil
}

func decoded(body io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		return &lazyReader{open: func() (io.Reader, error) { return gzip.NewReader(body) }}, nil
	case "deflate":
		return &lazyReader{open: func() (io.Reader, error) { return zlib.NewReader(body) }}, nil
	case "br":
		return brotli.NewReader(body), nil
	case "zstd":
		return &lazyReader{open: func() (io.Reader, error) {
			reader, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			return reader, nil
		}}, nil
	}
	return nil, raise(codeNotImplemented, "NOT_IMPLEMENTED", "Unknown compression method: %s",
		encoding)
}

// lazyReader opens its reader at the first read, because gzip and zlib read ahead when opened and
// an empty body is no fault.
type lazyReader struct {
	open   func() (io.Reader, error)
	reader io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.reader == nil {
		reader, err := l.open()
		if err != nil {
			return 0, err
		}
		l.reader = reader
	}
	return l.reader.Read(p)
}

func (q *request) readForm(r *http.Request, values url.Values) error {
	if err := r.ParseMultipartForm(formMemoryMax); err != nil {
		return raise(codeBadArguments, "BAD_ARGUMENTS", "The form cannot be read: %s", err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	for name, fields := range r.MultipartForm.Value {
		if len(fields) == 0 {
			continue
		}
		if name == "query" {
			q.query += fields[0]
		} else if parameter, ok := strings.CutPrefix(name, "param_"); ok {
			q.params = append(q.params, param{name: parameter, value: fields[0]})
		} else if err := q.addExternal(name, []byte(fields[0]), values); err != nil {
			return err // clickhouse-go sends its tables without a file name, so they end up here
		}
	}
	for name, files := range r.MultipartForm.File {
		if len(files) == 0 {
			continue
		}
		file, err := files[0].Open()
		if err != nil {
			return err
		}
		var data bytes.Buffer
		n, err := io.Copy(&data, io.LimitReader(file, externalBytesMax+1))
		_ = file.Close()
		if err != nil {
			return err
		}
		if n > externalBytesMax {
			return raise(codeQueryTooLarge, "QUERY_IS_TOO_LARGE",
				"External table %s is larger than %d bytes", name, externalBytesMax)
		}
		if err := q.addExternal(name, data.Bytes(), values); err != nil {
			return err
		}
	}
	return nil
}

func (q *request) addExternal(name string, data []byte, values url.Values) error {
	structure := values.Get(name + "_structure")
	if structure == "" {
		return raise(codeBadArguments, "BAD_ARGUMENTS", "No structure is provided for external "+
			"table %s: add %s_structure to the address", name, name)
	}
	format := cmp.Or(values.Get(name+"_format"), "TabSeparated")
	q.external = append(q.external, externalTable{name: name, structure: structure,
		format: format, data: data})
	return nil
}
