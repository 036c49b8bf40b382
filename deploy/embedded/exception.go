package embedded

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// ClickHouse's error codes that this server raises itself. The engine's own come as text.
const (
	codeBadArguments      = 36
	codeNotImplemented    = 48
	codeSyntaxError       = 62
	codeCannotDecompress  = 271
	codeTooManyQueries    = 202
	codeQueryTooLarge     = 229
	codeSessionNotFound   = 372
	codeSessionLocked     = 373
	codeAuthentication    = 516
	codeUnknown           = 1002
	codeNetwork           = 210
	engineVersionFallback = "26.7"
)

// exception is an error of ClickHouse: its code, and its text as ClickHouse prints it.
type exception struct {
	code int
	text string
}

func (e *exception) Error() string { return e.text }

var exceptionCode = regexp.MustCompile(`^(?:Error: )?Code: (\d+)\. `)

// newException reads the text of an error that the engine returned.
func newException(text string) *exception {
	text = strings.TrimSpace(text)
	match := exceptionCode.FindStringSubmatch(text)
	if match == nil {
		return raise(codeUnknown, "UNKNOWN_EXCEPTION", "%s", text)
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		code = codeUnknown
	}
	return &exception{code: code, text: strings.TrimPrefix(text, "Error: ")}
}

// raise makes an error of this server in the words of ClickHouse, so that clients can parse it.
func raise(code int, name, format string, arguments ...any) *exception {
	return &exception{code: code, text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code,
		strings.TrimSuffix(fmt.Sprintf(format, arguments...), "."), name)}
}

// asException gives every error a code, as every answer of ClickHouse has one.
func asException(err error) *exception {
	var known *exception
	if errors.As(err, &known) {
		return known
	}
	return raise(codeUnknown, "UNKNOWN_EXCEPTION", "%s", err)
}

// body is the text a client receives. Real servers end it with their version.
func (e *exception) body(version string) string {
	if strings.Contains(e.text, "(version ") {
		return e.text + "\n"
	}
	return e.text + " (version " + version + ")\n"
}

// status follows the table of ClickHouse's HTTP handler.
func (e *exception) status() int {
	switch e.code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, codeAuthentication, 497: // unknown user, wrong password, no access
		return http.StatusForbidden
	case 46, 47, 50, 56, 60, 63, 73, 81, 115, 188, codeSessionNotFound:
		return http.StatusNotFound // unknown function, identifier, type, table, setting ...
	case 6, 8, 10, 15, 25, 26, 27, 38, 41, 42, 43, 44, 53, 69, 72, 76, 117, 130, 158,
		176, 210, 427, 441, 456, 457, codeSyntaxError, codeBadArguments:
		return http.StatusBadRequest // what the client wrote cannot be parsed or does not fit
	case codeQueryTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotImplemented:
		return http.StatusNotImplemented
	case 159, 209:
		return http.StatusRequestTimeout
	case codeTooManyQueries:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
