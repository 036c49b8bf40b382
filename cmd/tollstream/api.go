package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollstream/sinks/clickhouse"
)

// billsPerPage bounds one answer of the API; narrower filters give the rest.
const billsPerPage = 1_000

// addAPI gives the HTTP server the read-only API:
//
//	GET /v1/bills?account=A&cycle=daily&from=2023-02-01&to=2023-03-01   bills, one JSON a line
//	GET /v1/bills/ACCOUNT/PERIOD                                        one bill as canonical JSON
//	GET /v1/bills/ACCOUNT/PERIOD/lines/N/calls?limit=1000      a line's calls, one JSON a line
//	GET /v1/settlements                                                 closings with their books
//
// It answers from the views, so it shows closings that are done and nothing else.
func addAPI(
	mux *http.ServeMux, store *clickhouse.Store, zone *time.Location, logger *slog.Logger,
) {
	a := &api{store: store, zone: zone, logger: logger}
	mux.HandleFunc("GET /v1/bills", a.bills)
	mux.HandleFunc("GET /v1/bills/{account}/{period}", a.bill)
	mux.HandleFunc("GET /v1/bills/{account}/{period}/lines/{line}/calls", a.calls)
	mux.HandleFunc("GET /v1/settlements", a.settlements)
}

type api struct {
	store  *clickhouse.Store
	zone   *time.Location
	logger *slog.Logger
}

func (a *api) bills(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	flags := billFilterFlags{account: q.Get("account"), cycle: q.Get("cycle"),
		from: q.Get("from"), to: q.Get("to")}
	filter, err := flags.filter()
	if err != nil {
		http.Error(w, oneLine(err), http.StatusBadRequest)
		return
	}
	filter.Limit = billsPerPage
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	err = a.store.EachBill(r.Context(), filter, func(raw []byte) error {
		_, err := w.Write(append(raw, '\n'))
		return err
	})
	a.failed(w, r, err)
}

func (a *api) bill(w http.ResponseWriter, r *http.Request) {
	raw, err := a.store.BillJSON(r.Context(), r.PathValue("account")+"/"+r.PathValue("period"))
	if err == nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, err = w.Write(raw)
	}
	a.failed(w, r, err)
}

// calls answers with the calls behind a line, all of them without a limit. Where they are not as
// many as the line says, the answer is an error and no list.
func (a *api) calls(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("limit"), "0"))
	if err != nil || limit < 0 {
		http.Error(w, "limit is not a number of calls", http.StatusBadRequest)
		return
	}
	ctx := r.Context()
	b, err := a.store.Bill(ctx, r.PathValue("account")+"/"+r.PathValue("period"))
	if err != nil {
		a.failed(w, r, err)
		return
	}
	no, err := strconv.Atoi(r.PathValue("line"))
	if err != nil || no < 1 || no > len(b.Lines) {
		http.Error(w, fmt.Sprintf("the lines of bill %s are 1 to %d", b.BillID, len(b.Lines)),
			http.StatusNotFound)
		return
	}
	l := &b.Lines[no-1]
	if !clickhouse.OwnCalls(l.Kind) {
		http.Error(w, fmt.Sprintf("a %s line has no calls of its own", l.Kind), http.StatusNotFound)
		return
	}
	logs, err := a.store.LineLogs(ctx, b, l)
	if err == nil {
		if _, err := checkLineCalls(b, l, logs); err != nil {
			a.logger.Error("calls of a bill line do not add up", "error", err)
			http.Error(w, oneLine(err), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
		err = writeLineCalls(ctx, w, a.store, b, l, limit, a.zone)
	}
	a.failed(w, r, err)
}

// settlementAnswer is a closing as the API shows it.
type settlementAnswer struct {
	Closed         string          `json:"closed_at"`
	Day            string          `json:"day"`
	State          string          `json:"state"`
	CatalogVersion string          `json:"catalog_version"`
	CatalogDigest  string          `json:"catalog_digest"`
	RuleVersion    int             `json:"rule_version"`
	Bills          uint64          `json:"bills"`
	Calls          uint64          `json:"calls"`
	Barriers       json.RawMessage `json:"barriers"`
	Books          json.RawMessage `json:"books"`
	Gaps           json.RawMessage `json:"gaps"`
	ClusterID      string          `json:"cluster_id"`
}

func (a *api) settlements(w http.ResponseWriter, r *http.Request) {
	list, err := a.store.Settlements(r.Context())
	if err != nil {
		a.failed(w, r, err)
		return
	}
	out := make([]settlementAnswer, len(list))
	for i, s := range list {
		out[i] = settlementAnswer{Closed: s.ClosedAt.String(), Day: s.Day.String(), State: s.State,
			CatalogVersion: s.CatalogVersion, CatalogDigest: s.CatalogDigest,
			RuleVersion: s.RuleVersion, Bills: s.Bills, Calls: s.Calls,
			Barriers: json.RawMessage(s.Barriers), Books: json.RawMessage(s.Books),
			Gaps: json.RawMessage(s.Gaps), ClusterID: s.ClusterID}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	a.failed(w, r, json.NewEncoder(w).Encode(out))
}

// failed answers with an error, if there is one. The cause goes to our log: it can name hosts.
func (a *api) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case err == nil:
	case errors.Is(err, clickhouse.ErrNotFound):
		http.Error(w, "no such bill: "+strings.TrimPrefix(r.URL.Path, "/v1/bills/"),
			http.StatusNotFound)
	default:
		a.logger.Error("API request failed", "path", r.URL.Path, "error", err)
		http.Error(w, "the store does not answer; see the log", http.StatusServiceUnavailable)
	}
}
