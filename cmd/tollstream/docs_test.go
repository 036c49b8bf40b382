package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	anyBlock   = regexp.MustCompile("(?s)```.*?```")
	codeSpan   = regexp.MustCompile("`((?:tollstream|make) [^`]+)`")
	codeLine   = regexp.MustCompile(`(?m)^ {4}((?:tollstream|make) .*)$`)
	shellWord  = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
	shellJoin  = regexp.MustCompile(`&&|\|\||[;|]`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// TestCommandsInDocuments reads every command of ours in every document, in its code blocks and in
// its lines: verbs and flags have to be there, and targets of make too. Nothing is run.
func TestCommandsInDocuments(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range makeTarget.FindAllSubmatch(makefile, -1) {
		targets = append(targets, string(m[1]))
	}
	commands := map[string]int{}
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range commandsOf(string(text)) {
			commands[words[0]]++
			if words[0] == "tollstream" {
				checkCommand(t, path, words[1:])
			} else if target := words[1]; !slices.Contains(targets, target) {
				t.Errorf("%s: make has no target %s", path, target)
			}
		}
	}
	if commands["tollstream"] < 100 || commands["make"] < 30 {
		t.Errorf("only %v commands were found", commands)
	}
}

// documents are all pages but those of packages that are not ours.
func documents(t *testing.T) []string {
	t.Helper()
	var list []string
	others := []string{"node_modules", ".git", "build", "target"}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(others, d.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			list = append(list, path)
		}
		return nil
	})
	if err != nil || len(list) < 30 {
		t.Fatal(list, err)
	}
	return list
}

// commandsOf are the words of the commands of ours in a page. Of verbs that stand as alternatives,
// list\|show, each is a command.
func commandsOf(page string) [][]string {
	var lines []string
	for _, block := range shellBlock.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, " #")
			lines = append(lines, shellJoin.Split(line, -1)...)
		}
	}
	page = anyBlock.ReplaceAllString(page, "")
	for _, code := range []*regexp.Regexp{codeSpan, codeLine} {
		for _, m := range code.FindAllStringSubmatch(page, -1) {
			lines = append(lines, m[1])
		}
	}
	var list [][]string
	for _, line := range lines {
		words := shellWord.FindAllString(line, -1)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		words[0] = strings.TrimPrefix(words[0], "build/")
		if words[0] == "tollstream" || words[0] == "make" {
			list = append(list, alternatives(words)...)
		}
	}
	return list
}

// alternatives makes a command of each of the verbs in a word such as list\|show.
func alternatives(words []string) [][]string {
	for i, word := range words {
		verbs := strings.Split(word, `\|`)
		if len(verbs) == 1 {
			continue
		}
		var list [][]string
		for _, verb := range verbs {
			list = append(list, slices.Concat(words[:i], []string{verb}, words[i+1:]))
		}
		return list
	}
	return [][]string{words}
}

// checkCommand finds the verb and reads its flags; nothing is run.
func checkCommand(t *testing.T, page string, args []string) {
	t.Helper()
	said := "tollstream " + strings.Join(args, " ")
	c, rest, err := newRootCommand().Find(args)
	if err != nil || !c.Runnable() {
		t.Errorf("%s: %s: %v", page, said, err)
		return
	}
	for i, arg := range rest {
		switch arg {
		case "P", "N", "M": // placeholders of numbers
			rest[i] = "1"
		}
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "help requested") {
		t.Errorf("%s: %s: %v", page, said, err)
	}
	if c.HasSubCommands() && len(c.Flags().Args()) > 0 {
		t.Errorf("%s: %s: no such verb", page, said)
	}
}
