// Package closing makes bills (出账): given an account as the last closing left it, the events and
// calls that lie below this closing's barriers, and the catalogue, it decides what each call
// became, moves the balance and the status, and writes the bill of the period that ends.
//
// It owns: account events taking effect (apply.go, B23 to B25), the status timeline (timeline.go,
// B24), packages covering calls in order (cover.go, B8 to B14), the lines and total of a bill
// (bill.go, lines.go, B15 to B20), its canonical form and digest (digest.go, B22).
//
// It does not own: which copy of a call counts (claim), who an account is (accounts), what a tag
// costs at which tier (rating). It has no clock: the moment of a closing is an argument.
//
// Invariants, checked on every closing: lines sum to the total; 0 <= used <= quota of every
// package; charged calls = covered + postpaid + uncovered. A closing that breaks one returns an
// error and changes nothing.
package closing
