// Who may enter: whoever brings a known key.
package main

import "local/{{name}}/cordboard"

type policy struct {
	subjects map[string]string // by key
	header   string
}

var _ cordboard.Authorizer = (*policy)(nil)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Lets in whoever brings a known key"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "keys", "header")
	if err != nil {
		return err
	}
	if p.subjects, err = config.TextMap("keys", "map keys to subjects", nil); err != nil {
		return err
	}
	p.header, err = config.Text("header", "x-api-key")
	return err
}

func (p *policy) Authorize(request cordboard.Request) (*cordboard.Identity, error) {
	key, there := request.Header(p.header)
	if !there {
		return nil, &cordboard.Rejection{
			Status:  401,
			Code:    "key-missing",
			Body:    "An API key is needed.\n",
			Headers: []cordboard.Header{{Name: "www-authenticate", Value: "ApiKey"}},
		}
	}
	subject, known := p.subjects[key]
	if !known {
		return nil, &cordboard.Rejection{Status: 403, Code: "key-unknown", Body: "This key is not known.\n"}
	}
	return &cordboard.Identity{Subject: subject}, nil
}

// A component is called; it does not run.
func main() {}
