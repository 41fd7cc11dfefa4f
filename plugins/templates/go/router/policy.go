// Which service a path leads to.
package main

import (
	"strings"

	"local/{{name}}/cordboard"
)

type policy struct {
	services map[string]string // by the path they serve
}

var (
	_ cordboard.RoleDetector     = (*policy)(nil)
	_ cordboard.ChannelExtractor = (*policy)(nil)
	_ cordboard.ServiceResolver  = (*policy)(nil)
)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Routes paths to services"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "services")
	if err != nil {
		return err
	}
	p.services, err = config.TextMap("services", "map paths to services", map[string]string{"/ws/echo": "echo"})
	return err
}

// The service of the longest key that the path begins with, whole segments only.
func (p *policy) service(path string) (service string, found bool) {
	longest := -1
	for key, name := range p.services {
		rest, begins := strings.CutPrefix(path, key)
		if begins && (rest == "" || rest[0] == '/') && len(key) > longest {
			longest, service = len(key), name
		}
	}
	return service, longest >= 0
}

func (p *policy) DetectRole(request cordboard.Request) (cordboard.Role, error) {
	if _, found := p.service(request.Path()); !found {
		return cordboard.NoOpinion, nil
	}
	return cordboard.Routed, nil
}

func (p *policy) ExtractChannel(request cordboard.Request) (*cordboard.Channel, error) {
	id, _ := request.Header("x-group-id")
	if id == "" {
		return nil, nil // no opinion: the host makes one
	}
	return &cordboard.Channel{ID: id}, nil
}

func (p *policy) Resolve(request cordboard.Request) (*cordboard.Resolution, error) {
	service, found := p.service(request.Path())
	if !found {
		return nil, nil
	}
	return &cordboard.Resolution{Service: service}, nil
}

// A component is called; it does not run.
func main() {}
