// Evaluation over HTTP as one writes it in Go: net/http and encoding/json, with the flags of a snapshot in memory.
//
//	evaluation_server PORT SNAPSHOT TAG
//
// It does the work of our server for flags whose constraints are EQ: finds the flag, looks at its segments, takes the
// bucket, and answers with the same members. A GET is the snapshot, or 304 for the tag.
package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

type constraint struct {
	Property string `json:"property"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

type distribution struct {
	VariantID  int    `json:"variantID"`
	VariantKey string `json:"variantKey"`
	Percent    uint32 `json:"percent"`
}

type segment struct {
	ID             int            `json:"id"`
	Rank           int            `json:"rank"`
	RolloutPercent uint32         `json:"rolloutPercent"`
	Constraints    []constraint   `json:"constraints"`
	Distributions  []distribution `json:"distributions"`
}

type variant struct {
	ID         int             `json:"id"`
	Attachment json.RawMessage `json:"attachment"`
}

type flag struct {
	ID         int       `json:"id"`
	Key        string    `json:"key"`
	Enabled    bool      `json:"enabled"`
	SnapshotID int       `json:"snapshotID"`
	Segments   []segment `json:"segments"`
	Variants   []variant `json:"variants"`
}

type question struct {
	EntityID      string         `json:"entityID"`
	EntityContext map[string]any `json:"entityContext"`
	FlagKey       string         `json:"flagKey"`
}

type result struct {
	FlagID            int             `json:"flagID"`
	FlagKey           string          `json:"flagKey"`
	FlagSnapshotID    int             `json:"flagSnapshotID"`
	FlagTags          []string        `json:"flagTags"`
	SegmentID         *int            `json:"segmentID"`
	VariantID         *int            `json:"variantID"`
	VariantKey        *string         `json:"variantKey"`
	VariantAttachment json.RawMessage `json:"variantAttachment"`
	EvalContext       question        `json:"evalContext"`
	Timestamp         string          `json:"timestamp"`
	Reason            string          `json:"reason"`
}

type server struct {
	flags    map[string]*flag
	snapshot []byte
	tag      string
}

func (s *server) evaluate(asked question) result {
	found := result{FlagKey: asked.FlagKey, FlagTags: []string{}, EvalContext: asked, Reason: "FLAG_NOT_FOUND",
		Timestamp: time.Now().UTC().Format("2006-01-02T15:04:05.000Z")}
	f := s.flags[asked.FlagKey]
	if f == nil {
		return found
	}
	found.FlagID, found.FlagSnapshotID, found.Reason = f.ID, f.SnapshotID, "FLAG_DISABLED"
	if !f.Enabled {
		return found
	}
	found.Reason = "NO_MATCH"
	bucket := crc32.ChecksumIEEE([]byte(strconv.Itoa(f.ID)+asked.EntityID))%1000 + 1
	for i := range f.Segments {
		each := &f.Segments[i]
		if !each.holds(asked.EntityContext) || bucket > each.RolloutPercent*10 {
			continue
		}
		if share := each.placed(bucket); share != nil {
			found.SegmentID, found.VariantID, found.VariantKey = &each.ID, &share.VariantID, &share.VariantKey
			found.VariantAttachment, found.Reason = f.attachment(share.VariantID), "MATCH"
			return found
		}
	}
	return found
}

func (s *segment) holds(context map[string]any) bool {
	for _, each := range s.Constraints {
		if value, is := context[each.Property].(string); !is || each.Operator != "EQ" || value != each.Value {
			return false
		}
	}
	return true
}

func (s *segment) placed(bucket uint32) *distribution {
	var upper uint32
	for i := range s.Distributions {
		upper += s.Distributions[i].Percent * 10
		if bucket <= upper {
			return &s.Distributions[i]
		}
	}
	return nil
}

func (f *flag) attachment(variantID int) json.RawMessage {
	for _, each := range f.Variants {
		if each.ID == variantID {
			return each.Attachment
		}
	}
	return nil
}

func (s *server) one(response http.ResponseWriter, request *http.Request) {
	var asked question
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	write(response, s.evaluate(asked))
}

func (s *server) batch(response http.ResponseWriter, request *http.Request) {
	var asked struct {
		Entities []question `json:"entities"`
		FlagKeys []string   `json:"flagKeys"`
	}
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	results := make([]result, 0, len(asked.Entities)*len(asked.FlagKeys))
	for _, entity := range asked.Entities {
		for _, key := range asked.FlagKeys {
			entity.FlagKey = key
			results = append(results, s.evaluate(entity))
		}
	}
	write(response, map[string]any{"evaluationResults": results})
}

func write(response http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	response.Header().Set("Content-Length", strconv.Itoa(len(body)))
	response.Write(body)
}

func (s *server) export(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("ETag", s.tag)
	response.Header().Set("Cache-Control", "no-cache")
	if request.Header.Get("If-None-Match") == s.tag {
		response.WriteHeader(http.StatusNotModified)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	response.Write(s.snapshot)
}

func load(path, tag string) (*server, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var snapshot struct {
		Flags []*flag `json:"flags"`
	}
	if err := json.Unmarshal(content, &snapshot); err != nil {
		return nil, err
	}
	s := &server{map[string]*flag{}, content, tag}
	for _, each := range snapshot.Flags {
		slices.SortStableFunc(each.Segments, func(a, b segment) int { return a.Rank - b.Rank })
		for i := range each.Segments {
			slices.SortStableFunc(each.Segments[i].Distributions, func(a, b distribution) int { return int(a.Percent) - int(b.Percent) })
		}
		s.flags[each.Key] = each
	}
	return s, nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: evaluation_server PORT SNAPSHOT TAG")
		os.Exit(2)
	}
	s, err := load(os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/evaluation", s.one)
	mux.HandleFunc("POST /api/v1/evaluation/batch", s.batch)
	mux.HandleFunc("GET /api/v1/export/eval_cache/json", s.export)
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
	os.Exit(1)
}
