package embedded

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	sessionTimeoutDefault = 60 * time.Second
	sessionTimeoutMax     = time.Hour
)

// request is one call of the HTTP interface, after its address and headers are understood.
type request struct {
	query      string
	queryID    string
	database   string
	format     string // asked for by default_format or X-ClickHouse-Format
	revision   int
	readonly   bool
	compress   bool // answer in ClickHouse's own compressed frames
	decompress bool // the body is in such frames
	encodings  string
	settings   []param
	params     []param
	external   []externalTable
	session    sessionRequest
	body       io.Reader
}

type sessionRequest struct {
	id      string
	timeout time.Duration
	check   bool
}

// externalTable is a table that a client sends along with its query.
type externalTable struct {
	name, structure, format string
	data                    []byte
}

// controlNames are the names in an address that steer the interface. Every other name is a setting
// of the engine, and the engine decides whether it knows it.
var controlNames = []string{"query", "query_id", "database", "default_format", "user", "password",
	"quota_key", "client_protocol_version", "compress", "decompress", "session_id",
	"session_timeout", "session_check", "buffer_size", "wait_end_of_query", "role", "stacktrace",
	"close_session", "cancel_http_readonly_queries_on_client_close"}

func readRequest(r *http.Request) (*request, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, raise(codeBadArguments, "BAD_ARGUMENTS", "The address cannot be parsed: %s", err)
	}
	q := &request{
		query:      values.Get("query"),
		queryID:    values.Get("query_id"),
		database:   cmp.Or(values.Get("database"), r.Header.Get("X-ClickHouse-Database")),
		format:     cmp.Or(values.Get("default_format"), r.Header.Get("X-ClickHouse-Format")),
		readonly:   r.Method == http.MethodGet || r.Method == http.MethodHead,
		compress:   isOn(values.Get("compress")),
		decompress: isOn(values.Get("decompress")),
		encodings:  r.Header.Get("Accept-Encoding"),
	}
	if q.queryID == "" {
		q.queryID = newQueryID()
	}
	if text := values.Get("client_protocol_version"); text != "" {
		if q.revision, err = strconv.Atoi(text); err != nil || q.revision < 0 {
			return nil, raise(codeBadArguments, "BAD_ARGUMENTS",
				"client_protocol_version=%q is not a number", text)
		}
	}
	if err := q.readSession(values); err != nil {
		return nil, err
	}
	q.readSettings(values)
	if isOff(values.Get("enable_http_compression")) {
		q.encodings = ""
	}
	return q, q.readBody(r, values)
}

func (q *request) readSession(values url.Values) error {
	q.session = sessionRequest{id: values.Get("session_id"), timeout: sessionTimeoutDefault,
		check: isOn(values.Get("session_check"))}
	if text := values.Get("session_timeout"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 || seconds > int(sessionTimeoutMax.Seconds()) {
			return raise(codeBadArguments, "BAD_ARGUMENTS",
				"session_timeout=%q is not between 0 and %d seconds", text,
				int(sessionTimeoutMax.Seconds()))
		}
		q.session.timeout = time.Duration(seconds) * time.Second
	}
	return nil
}

// readSettings sorts by name, so that the same request always gives the same statement.
func (q *request) readSettings(values url.Values) {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := values.Get(name)
		if parameter, ok := strings.CutPrefix(name, "param_"); ok {
			q.params = append(q.params, param{name: parameter, value: value})
			continue
		}
		if slices.Contains(controlNames, name) || q.isExternalName(values, name) {
			continue
		}
		q.settings = append(q.settings, param{name: name, value: value})
	}
}

// isExternalName tells the NAME_structure, NAME_format and NAME_types of an external table.
func (q *request) isExternalName(values url.Values, name string) bool {
	for _, suffix := range []string{"_structure", "_format", "_types"} {
		if table, ok := strings.CutSuffix(name, suffix); ok && table != "" {
			return values.Has(table+"_structure") || values.Has(table+"_types")
		}
	}
	return false
}

// setStatement is the SET for the settings of the request, with the id of the query as its
// log_comment unless the client chose one: it is how a cancelled query is found again.
func (q *request) setStatement() string {
	var text strings.Builder
	text.WriteString("SET ")
	comment := true
	for _, setting := range q.settings {
		fmt.Fprintf(&text, "%s = %s, ", quoteName(setting.name), quoteText(setting.value))
		comment = comment && setting.name != "log_comment"
	}
	if comment {
		fmt.Fprintf(&text, "log_comment = %s, ", quoteText(q.queryID))
	}
	return strings.TrimSuffix(text.String(), ", ")
}

// resetStatement takes the settings of one request back from a session that lives on.
func (q *request) resetStatement() string {
	names := []string{"log_comment = DEFAULT"}
	for _, setting := range q.settings {
		names = append(names, quoteName(setting.name)+" = DEFAULT")
	}
	return "SET " + strings.Join(names, ", ")
}

// credentials are the user and password of a request, wherever the client put them.
func credentials(r *http.Request) (user, password string) {
	user, password = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	if user != "" || password != "" {
		return cmp.Or(user, userDefault), password
	}
	if user, password, ok := r.BasicAuth(); ok {
		return cmp.Or(user, userDefault), password
	}
	values := r.URL.Query()
	return cmp.Or(values.Get("user"), userDefault), values.Get("password")
}

// authenticate compares in constant time. As on a real server, a user without a password is let in
// with any password.
func (s *server) authenticate(r *http.Request) error {
	user, password := credentials(r)
	sameUser := subtle.ConstantTimeCompare([]byte(user), []byte(s.user)) == 1
	samePassword := s.password == "" ||
		subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) == 1
	if sameUser && samePassword {
		return nil
	}
	return raise(codeAuthentication, "AUTHENTICATION_FAILED", "%s: Authentication failed: "+
		"password is incorrect, or there is no user with such name", user)
}

func newQueryID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func quoteText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

func isOn(text string) bool  { return text == "1" || strings.EqualFold(text, "true") }
func isOff(text string) bool { return text == "0" || strings.EqualFold(text, "false") }
