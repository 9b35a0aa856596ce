// Eclipse Paho for Go, which speaks MQTT 3.1.1.
package main

import (
	"errors"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

type pahoClient struct{ library mqtt.Client }

func wait(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return errors.New("no answer")
	}
	return token.Error()
}

func (it pahoClient) subscribe(filter string, qos byte) error {
	return wait(it.library.Subscribe(filter, qos, nil))
}

func (it pahoClient) publish(topic, payload string, qos byte, retained bool) error {
	return wait(it.library.Publish(topic, qos, retained, payload))
}

func (it pahoClient) disconnect() error {
	it.library.Disconnect(100)
	return nil
}

func main() {
	run(func(given settings) (client, bool, error) {
		options := mqtt.NewClientOptions().SetClientID(given.id).SetCleanSession(given.clean).SetAutoReconnect(false)
		scheme := "tcp://"
		if given.isSecure {
			scheme = "ssl://"
		}
		options.AddBroker(scheme + given.address).SetProtocolVersion(4)
		options.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			received(m.Topic(), m.Qos(), m.Retained(), m.Payload())
		})
		if given.will != "" {
			options.SetWill(given.will, "died", 1, false)
		}
		it := pahoClient{mqtt.NewClient(options)}
		token := it.library.Connect()
		err := wait(token)
		return it, token.(*mqtt.ConnectToken).SessionPresent(), err
	})
}
