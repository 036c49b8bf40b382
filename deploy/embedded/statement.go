package embedded

import (
	"strings"
)

// statement is what the server must know about a piece of SQL before it hands it to the engine.
// It is not a parser: the engine judges the SQL, this only finds words outside of quotes.
type statement struct {
	// verb is the first word in upper case: SELECT, INSERT, CREATE ...
	verb string
	// format is the name in a FORMAT clause, or empty.
	format string
	// insertHead is set for an INSERT whose rows follow as data: the SQL before FORMAT or VALUES.
	insertHead string
	// dataAt is where the rows of such an INSERT begin.
	dataAt int
	// more tells that a second statement follows the first.
	more bool
	// outfile tells that the statement would read or write a file on the client's side.
	outfile bool
}

// inspect reads one statement. Given an INSERT with data it stops before the data, which may be
// binary and of any length.
func inspect(sql string) statement {
	s := statement{}
	words := scanner{text: sql}
	depth, ended, word, before := 0, false, token{}, token{}
	for words.next(&word) {
		if ended {
			s.more = true
			return s
		}
		switch {
		case word.is("("):
			depth++
		case word.is(")"):
			depth--
		case word.is(";"):
			ended = true
		case s.verb == "" && word.kind == tokenWord:
			s.verb = strings.ToUpper(word.text)
		case depth == 0 && word.kind == tokenWord:
			if s.clause(sql, &words, before, word) {
				return s
			}
		}
		before = word
	}
	return s
}

// clause takes note of a word at the outermost level and reports whether to stop there.
func (s *statement) clause(sql string, words *scanner, before, word token) bool {
	switch upper := strings.ToUpper(word.text); {
	case upper == "OUTFILE" && before.isWord("INTO"), upper == "INFILE" && before.isWord("FROM"):
		s.outfile = true
	case s.verb == "INSERT" && upper == "VALUES" && !before.isWord("INTO") && !before.is("."):
		s.insertHead, s.format, s.dataAt = sql[:word.start], "Values", word.end
		return true
	case s.verb == "INSERT" && (upper == "SELECT" || upper == "WITH"):
		s.verb = "INSERT SELECT"
	case upper == "FORMAT" && !before.is("."):
		name := token{}
		ahead := *words
		if !ahead.next(&name) || name.kind != tokenWord {
			return false
		}
		s.format = name.text
		if s.verb == "INSERT" {
			s.insertHead, s.dataAt = sql[:word.start], afterFormat(sql, name.end)
			return true
		}
	case s.format != "" && !before.isWord("FORMAT") && upper != "SETTINGS" && s.verb != "INSERT" &&
		before.is(","):
		// The word FORMAT was a column name, as in SELECT format AS f, other.
		s.format = ""
	}
	return false
}

// afterFormat passes the blanks and the one line feed that separate FORMAT name from its data.
func afterFormat(sql string, at int) int {
	for at < len(sql) && strings.IndexByte(" \t\f", sql[at]) >= 0 {
		at++
	}
	if at < len(sql) && sql[at] == '\r' {
		at++
	}
	if at < len(sql) && sql[at] == '\n' {
		at++
	}
	return at
}

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenQuoted
	tokenOther
)

type token struct {
	kind       tokenKind
	text       string
	start, end int
}

func (t token) is(text string) bool { return t.kind == tokenOther && t.text == text }

func (t token) isWord(upper string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, upper)
}

// scanner cuts SQL into words, quoted pieces and single characters, without blanks and comments.
type scanner struct {
	text string
	at   int
}

func (s *scanner) next(t *token) bool {
	s.skipBlanks()
	if s.at >= len(s.text) {
		return false
	}
	start, kind := s.at, tokenOther
	switch c := s.text[s.at]; {
	case c == '\'' || c == '"' || c == '`':
		kind = tokenQuoted
		s.at = min(closingQuote(s.text, s.at)+1, len(s.text))
	case isWordByte(c):
		kind = tokenWord
		for s.at < len(s.text) && isWordByte(s.text[s.at]) {
			s.at++
		}
	case c == '$':
		kind = tokenQuoted
		s.skipHeredoc()
	default:
		s.at++
	}
	*t = token{kind: kind, text: s.text[start:s.at], start: start, end: s.at}
	return true
}

func (s *scanner) skipBlanks() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			s.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "),
			strings.HasPrefix(rest, "#!"):
			s.skipPast(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			s.skipPast(rest, "*/")
		default:
			return
		}
	}
}

func (s *scanner) skipPast(rest, end string) {
	if i := strings.Index(rest[1:], end); i >= 0 {
		s.at += 1 + i + len(end)
		return
	}
	s.at = len(s.text)
}

// skipHeredoc passes $tag$ text $tag$, or a lone dollar sign.
func (s *scanner) skipHeredoc() {
	rest := s.text[s.at:]
	length := strings.IndexByte(rest[1:], '$')
	if length < 0 || strings.ContainsFunc(rest[1:1+length], func(r rune) bool {
		return r > 127 || !isWordByte(byte(r))
	}) {
		s.at++
		return
	}
	tag := rest[:length+2]
	if i := strings.Index(rest[len(tag):], tag); i >= 0 {
		s.at += len(tag) + i + len(tag)
		return
	}
	s.at++
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		c >= 128
}
