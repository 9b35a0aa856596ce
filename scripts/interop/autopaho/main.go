// autopaho, of Eclipse Paho for Go, which speaks MQTT 5: see checks.py for what is asked.
package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"sort"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const patience = 30 * time.Second

var address = net.JoinHostPort(os.Args[1], os.Args[2])
var run = fmt.Sprintf("interop/%d/", time.Now().UnixNano())

type client struct {
	*autopaho.ConnectionManager
	connection     net.Conn
	stop           context.CancelFunc
	messages       chan string
	sessionPresent bool
}

func inTime() context.Context {
	limited, _ := context.WithTimeout(context.Background(), patience)
	return limited
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(id string, clean bool, will string) *client {
	it := &client{messages: make(chan string, 100)}
	server, _ := url.Parse("mqtt://" + address)
	var life context.Context
	life, it.stop = context.WithCancel(context.Background())
	up := make(chan bool, 1)
	received := func(p paho.PublishReceived) (bool, error) {
		m := p.Packet
		it.messages <- fmt.Sprintf("%s %s %d %t", m.Topic, m.Payload, m.QoS, m.Retain)
		return true, nil
	}
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: clean,
		SessionExpiryInterval:         300,
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, _ *url.URL) (net.Conn, error) {
			connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			it.connection = connection
			return connection, err
		},
		OnConnectionUp: func(_ *autopaho.ConnectionManager, ack *paho.Connack) {
			it.sessionPresent = ack.SessionPresent
			up <- true
		},
		ClientConfig: paho.ClientConfig{
			ClientID:          id,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){received},
		},
	}
	if clean {
		config.SessionExpiryInterval = 0
	}
	if will != "" {
		config.WillMessage = &paho.WillMessage{Topic: will, Payload: []byte("died"), QoS: 1}
	}
	manager, err := autopaho.NewConnection(life, config)
	must(err)
	it.ConnectionManager = manager
	select {
	case <-up:
	case <-time.After(patience):
		panic("no CONNACK")
	}
	return it
}

func (it *client) subscribe(filter string, qos byte) {
	_, err := it.Subscribe(inTime(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}})
	must(err)
}

func (it *client) publish(topic, payload string, qos byte, retained bool) {
	_, err := it.Publish(inTime(), &paho.Publish{Topic: topic, QoS: qos, Retain: retained, Payload: []byte(payload)})
	must(err)
}

func (it *client) next() string {
	select {
	case message := <-it.messages:
		return message
	case <-time.After(patience):
		panic("no message")
	}
}

func (it *client) expect(wanted string) {
	if found := it.next(); found != wanted {
		panic(fmt.Sprintf("got %s and not %s", found, wanted))
	}
}

func (it *client) leave() { must(it.Disconnect(inTime())) }

func check(name string, body func(prefix string)) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Println(name, "failed:", problem)
		}
	}()
	body(run + name + "/")
	fmt.Println(name, "ok")
}

func main() {
	check("both_ways", func(prefix string) {
		it := connect(prefix+"both", true, "")
		it.subscribe(prefix+"#", 2)
		for qos := byte(0); qos < 3; qos++ {
			it.publish(fmt.Sprint(prefix, qos), "x", qos, false)
			it.expect(fmt.Sprintf("%s%d x %d false", prefix, qos, qos))
		}
		it.leave()
	})
	check("retained", func(prefix string) {
		it := connect(prefix+"retained", true, "")
		it.publish(prefix+"state", "kept", 1, true)
		it.subscribe(prefix+"state", 1)
		it.expect(prefix + "state kept 1 true")
		it.publish(prefix+"state", "", 1, true)
		it.leave()
	})
	check("will", func(prefix string) {
		watcher := connect(prefix+"watcher", true, "")
		watcher.subscribe(prefix+"gone", 1)
		dying := connect(prefix+"dying", true, prefix+"gone")
		dying.stop()
		dying.connection.Close()
		watcher.expect(prefix + "gone died 1 false")
		watcher.leave()
	})
	check("shared", func(prefix string) {
		one, two := connect(prefix+"one", true, ""), connect(prefix+"two", true, "")
		one.subscribe("$share/group/"+prefix+"jobs", 1)
		two.subscribe("$share/group/"+prefix+"jobs", 1)
		for _, number := range []string{"0", "1", "2", "3"} {
			one.publish(prefix+"jobs", number, 1, false)
		}
		got := []string{one.next(), one.next(), two.next(), two.next()}
		sort.Strings(got)
		for number, message := range got {
			if message != fmt.Sprintf("%sjobs %d 1 false", prefix, number) {
				panic(fmt.Sprint("got ", got))
			}
		}
		one.leave()
		two.leave()
	})
	check("session", func(prefix string) {
		first := connect(prefix+"session", false, "")
		first.subscribe(prefix+"queue", 1)
		first.leave()
		publisher := connect(prefix+"publisher", true, "")
		publisher.publish(prefix+"queue", "waited", 1, false)
		again := connect(prefix+"session", false, "")
		if !again.sessionPresent {
			panic("the session was not resumed")
		}
		again.expect(prefix + "queue waited 1 false")
		again.leave()
		publisher.leave()
	})
}
