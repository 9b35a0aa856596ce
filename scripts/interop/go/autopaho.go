// autopaho, of Eclipse Paho for Go, which speaks MQTT 5.
package main

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

type autopahoClient struct{ library *autopaho.ConnectionManager }

func inTime(ask func(context.Context) error) error {
	limited, end := context.WithTimeout(context.Background(), patience)
	defer end()
	return ask(limited)
}

func (it autopahoClient) subscribe(filter string, qos byte) error {
	return inTime(func(limited context.Context) error {
		options := []paho.SubscribeOptions{{Topic: filter, QoS: qos}}
		_, err := it.library.Subscribe(limited, &paho.Subscribe{Subscriptions: options})
		return err
	})
}

func (it autopahoClient) publish(topic, payload string, qos byte, retained bool) error {
	return inTime(func(limited context.Context) error {
		message := &paho.Publish{Topic: topic, QoS: qos, Retain: retained, Payload: []byte(payload)}
		_, err := it.library.Publish(limited, message)
		return err
	})
}

func (it autopahoClient) disconnect() error { return inTime(it.library.Disconnect) }

func main() {
	run(func(given settings) (client, bool, error) {
		scheme := "mqtt://"
		if given.isSecure {
			scheme = "mqtts://"
		}
		server, err := url.Parse(scheme + given.address)
		must(err)
		up := make(chan bool, 1)
		config := autopaho.ClientConfig{
			ServerUrls:                    []*url.URL{server},
			KeepAlive:                     60,
			CleanStartOnInitialConnection: given.clean,
			OnConnectionUp: func(_ *autopaho.ConnectionManager, ack *paho.Connack) {
				up <- ack.SessionPresent
			},
			ClientConfig: paho.ClientConfig{
				ClientID: given.id,
				OnPublishReceived: []func(paho.PublishReceived) (bool, error){
					func(p paho.PublishReceived) (bool, error) {
						received(p.Packet.Topic, p.Packet.QoS, p.Packet.Retain, p.Packet.Payload)
						return true, nil
					},
				},
			},
		}
		if !given.clean {
			config.SessionExpiryInterval = 300
		}
		if given.will != "" {
			config.WillMessage = &paho.WillMessage{Topic: given.will, Payload: []byte("died"), QoS: 1}
		}
		manager, err := autopaho.NewConnection(context.Background(), config)
		if err != nil {
			return nil, false, err
		}
		select {
		case present := <-up:
			return autopahoClient{manager}, present, nil
		case <-time.After(patience):
			return nil, false, errors.New("no CONNACK")
		}
	})
}
