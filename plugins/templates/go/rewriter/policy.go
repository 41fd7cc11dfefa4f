// What a service learns of a request, and what a client does not learn of an answer.
package main

import (
	"maps"
	"slices"

	"local/{{name}}/cordboard"
)

type policy struct {
	set    map[string]string // header fields that the service gets, in place of any that the client sent
	remove []string          // those of the client that the service does not get
	hide   []string          // those of the service that the client does not get
}

var (
	_ cordboard.RequestRewriter  = (*policy)(nil)
	_ cordboard.ResponseRewriter = (*policy)(nil)
)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Sets and removes header fields"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "set", "remove", "hide")
	if err != nil {
		return err
	}
	if p.set, err = config.TextMap("set", "map names to values", nil); err != nil {
		return err
	}
	if p.remove, err = config.Texts("remove", nil); err != nil {
		return err
	}
	p.hide, err = config.Texts("hide", nil)
	return err
}

func (p *policy) RewriteRequest(cordboard.Request) ([]cordboard.Edit, error) {
	// Carried out in order: what is set is there, also where it is to be removed.
	edits := removed(p.remove)
	for _, name := range slices.Sorted(maps.Keys(p.set)) {
		edits = append(edits, cordboard.Set(name, p.set[name]))
	}
	return edits, nil
}

// The header of the answer is not looked at: fields that are no text are not in it.
func (p *policy) RewriteResponse(cordboard.Request, int, []cordboard.Header) ([]cordboard.Edit, error) {
	return removed(p.hide), nil
}

func removed(names []string) []cordboard.Edit {
	edits := make([]cordboard.Edit, 0, len(names))
	for _, name := range names {
		edits = append(edits, cordboard.Remove(name))
	}
	return edits
}

// A component is called; it does not run.
func main() {}
