package cordboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Config is a configuration that was read; what is asked of it says in its error what the key must be.
type Config map[string]any

// ReadConfig reads the JSON that Init is given. Keys that nobody knows are mistakes, and refused.
func ReadConfig(text string, keys ...string) (Config, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // 1e3 and 1000.0 are no whole numbers
	var config Config
	if err := decoder.Decode(&config); err != nil || config == nil {
		return nil, errors.New("the configuration must be an object")
	}
	for key := range config {
		if !slices.Contains(keys, key) {
			return nil, fmt.Errorf("unknown key \"%s\"; the keys are %s", key, strings.Join(keys, ", "))
		}
	}
	return config, nil
}

// Text is a text, or what is said otherwise where the key is absent.
func (c Config) Text(key, otherwise string) (string, error) {
	value, there := c[key]
	if !there {
		return otherwise, nil
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s must be a text", key)
	}
	return text, nil
}

// Flag is true or false.
func (c Config) Flag(key string, otherwise bool) (bool, error) {
	value, there := c[key]
	if !there {
		return otherwise, nil
	}
	flag, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("%s must be true or false", key)
	}
	return flag, nil
}

// Whole is a whole number from least to most.
func (c Config) Whole(key string, least, most, otherwise int64) (int64, error) {
	value, there := c[key]
	if !there {
		return otherwise, nil
	}
	number, _ := value.(json.Number)
	whole, err := number.Int64()
	if err != nil || whole < least || whole > most {
		return 0, fmt.Errorf("%s must be a whole number from %d to %d", key, least, most)
	}
	return whole, nil
}

// Texts is a list of texts.
func (c Config) Texts(key string, otherwise []string) ([]string, error) {
	value, there := c[key]
	if !there {
		return otherwise, nil
	}
	list, ok := value.([]any)
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, isText := item.(string)
		ok = ok && isText
		texts = append(texts, text)
	}
	if !ok {
		return nil, fmt.Errorf("%s must be a list of texts", key)
	}
	return texts, nil
}

// TextMap is an object of texts; must ends the sentence "KEY must ...".
func (c Config) TextMap(key, must string, otherwise map[string]string) (map[string]string, error) {
	value, there := c[key]
	if !there {
		return otherwise, nil
	}
	object, ok := value.(map[string]any)
	texts := make(map[string]string, len(object))
	for name, item := range object {
		text, isText := item.(string)
		ok = ok && isText
		texts[name] = text
	}
	if !ok {
		return nil, fmt.Errorf("%s must %s", key, must)
	}
	return texts, nil
}
