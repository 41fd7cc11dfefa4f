// Who is a client, who a backend, and on which channel.
package main

import "local/{{name}}/cordboard"

type policy struct {
	parameter, backend string
}

var (
	_ cordboard.RoleDetector     = (*policy)(nil)
	_ cordboard.ChannelExtractor = (*policy)(nil)
)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Joins clients with backends by a parameter"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "parameter", "backend")
	if err != nil {
		return err
	}
	if p.parameter, err = config.Text("parameter", "channelId"); err != nil {
		return err
	}
	p.backend, err = config.Text("backend", "connect")
	return err
}

func (p *policy) DetectRole(request cordboard.Request) (cordboard.Role, error) {
	segments := request.PathSegments()
	if len(segments) > 0 && segments[len(segments)-1] == p.backend {
		return cordboard.Backend, nil
	}
	return cordboard.Client, nil
}

func (p *policy) ExtractChannel(request cordboard.Request) (*cordboard.Channel, error) {
	id, _ := request.QueryParam(p.parameter)
	if id == "" {
		return nil, &cordboard.Rejection{
			Status: 400,
			Code:   "channel-missing",
			Body:   "Name a channel: ?" + p.parameter + "=...\n",
		}
	}
	return &cordboard.Channel{ID: id}, nil
}

// A component is called; it does not run.
func main() {}
