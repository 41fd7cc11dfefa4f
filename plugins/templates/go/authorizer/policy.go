// Who may enter: whoever brings a known key.
package main

import (
	"crypto/sha256"

	"local/{{name}}/cordboard"
)

type policy struct {
	header   string
	subjects map[[sha256.Size]byte]string
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
	keys, err := config.TextMap("keys", "map keys to subjects", nil)
	if err != nil {
		return err
	}
	// By the hashes: how long it takes to find a key tells nothing of the keys there are.
	p.subjects = make(map[[sha256.Size]byte]string, len(keys))
	for key, subject := range keys {
		p.subjects[sha256.Sum256([]byte(key))] = subject
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
	subject, known := p.subjects[sha256.Sum256([]byte(key))]
	if !known {
		return nil, &cordboard.Rejection{Status: 403, Code: "key-unknown", Body: "This key is not known.\n"}
	}
	return &cordboard.Identity{Subject: subject}, nil
}

// A component is called; it does not run.
func main() {}
