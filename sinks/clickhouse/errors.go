package clickhouse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	clickhouse "github.com/ClickHouse/clickhouse-go/v2"
)

// Codes of ClickHouse exceptions that are explained to the user.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
	codeAuthentication  = 516
	codeAccessDenied    = 497
)

// transientCodes are exceptions after which the same statement may succeed later. Since every
// insert is idempotent, "maybe it was done" is among them.
var transientCodes = map[int32]string{
	159: "TIMEOUT_EXCEEDED", 202: "TOO_MANY_SIMULTANEOUS_QUERIES", 209: "SOCKET_TIMEOUT",
	210: "NETWORK_ERROR", 225: "NO_ZOOKEEPER", 236: "ABORTED", 241: "MEMORY_LIMIT_EXCEEDED",
	242: "TABLE_IS_READ_ONLY", 243: "NOT_ENOUGH_SPACE", 252: "TOO_MANY_PARTS",
	279: "ALL_CONNECTION_TRIES_FAILED", 285: "TOO_FEW_LIVE_REPLICAS",
	286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", 319: "UNKNOWN_STATUS_OF_INSERT",
	394: "QUERY_WAS_CANCELLED", 425: "SYSTEM_ERROR", 439: "CANNOT_SCHEDULE_TASK",
	473: "DEADLOCK_AVOIDED", 499: "S3_ERROR", 745: "SERVER_OVERLOADED", 999: "KEEPER_EXCEPTION",
}

// IsTransient tells whether doing the same again later may succeed: the server is away, busy or
// may have done it without saying so. A caller that has given up itself gets false.
func IsTransient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || tlsHint(err) != "" {
		return false
	}
	var ex *clickhouse.Exception
	if errors.As(err, &ex) {
		return transientCodes[ex.Code] != ""
	}
	var status *clickhouse.HTTPError
	if errors.As(err, &status) { // no exception in it: a proxy, or a server that is starting
		return status.StatusCode >= http.StatusInternalServerError ||
			status.StatusCode == http.StatusTooManyRequests
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, clickhouse.ErrAcquireConnTimeout)
}

// explain wraps an error so that one line says what failed, where, and what to do about it. The
// cause stays reachable by errors.Is and errors.As.
func (o Options) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if o.Failed != nil && !errors.Is(err, context.Canceled) {
		o.Failed(IsTransient(err))
	}
	where := fmt.Sprintf("%s: ClickHouse at %s (%s)", doing, o.Addr, o.Protocol)
	var ex *clickhouse.Exception
	if errors.As(err, &ex) {
		if advice := o.advice(ex); advice != "" {
			return &explained{text: where + ": " + advice, cause: err}
		}
		return &explained{cause: err,
			text: fmt.Sprintf("%s: code %d: %s", where, ex.Code, firstLine(ex.Message))}
	}
	if hint := tlsHint(err); hint != "" {
		return &explained{cause: err,
			text: fmt.Sprintf("%s: %s: %s", where, innermost(err), hint)}
	}
	if errors.Is(err, context.Canceled) || !IsTransient(err) {
		return fmt.Errorf("%s: %w", where, err)
	}
	return &explained{cause: err, text: fmt.Sprintf("%s: not reachable: %s: check that it runs, "+
		"the address, and that the port speaks %s (8123 is usual for http, 9000 for native)",
		where, innermost(err), o.Protocol)}
}

func (o Options) advice(ex *clickhouse.Exception) string {
	switch ex.Code {
	case codeAuthentication:
		return fmt.Sprintf("wrong user or password for user %q (code 516): "+
			"correct clickhouse.user and clickhouse.password", o.User)
	case codeUnknownDatabase:
		return fmt.Sprintf("there is no database %q: run tollstream migrate", o.Database)
	case codeUnknownTable:
		return fmt.Sprintf("database %q lacks tables of this program (%s): run tollstream migrate",
			o.Database, firstLine(ex.Message))
	case codeAccessDenied:
		return fmt.Sprintf("user %q may not do this: %s", o.User, firstLine(ex.Message))
	}
	return ""
}

// tlsHint says what to do about an error of encryption, "" for any other.
func tlsHint(err error) string {
	var name x509.HostnameError
	var verify *tls.CertificateVerificationError
	var connection *net.OpError
	var record tls.RecordHeaderError
	var answer *clickhouse.HTTPError
	switch {
	case errors.As(err, &name):
		return "connect by a name in the server's certificate, or give that name as " +
			"clickhouse.tls.server_name"
	case errors.As(err, &verify):
		return "give the file of the authority that signed the server's certificate as " +
			"clickhouse.tls.ca_file"
	case errors.As(err, &connection) && connection.Op == "remote error": // a TLS alert
		return "the server wants a certificate of ours that it trusts: give clickhouse.tls.cert_file " +
			"and key_file"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the port does not speak TLS: choose the port that does (8443 is usual for http, 9440 " +
			"for native), or set clickhouse.tls.enabled to false"
	case errors.As(err, &answer) && strings.Contains(err.Error(), "HTTP request to an HTTPS"):
		return "the port speaks TLS: set clickhouse.tls.enabled"
	}
	return ""
}

// innermost is an error's cause without the request's address, which is all settings.
func innermost(err error) string {
	var request *url.Error
	for errors.As(err, &request) {
		err = request.Err
	}
	return firstLine(err.Error())
}

type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
