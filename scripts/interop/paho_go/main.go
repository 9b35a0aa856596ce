// Eclipse Paho for Go, which speaks MQTT 3.1.1: see checks.py for what is asked.
package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"sort"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 30 * time.Second

var address = net.JoinHostPort(os.Args[1], os.Args[2])
var run = fmt.Sprintf("interop/%d/", time.Now().UnixNano())

type client struct {
	mqtt.Client
	connection     net.Conn
	messages       chan string
	sessionPresent bool
}

func must(token mqtt.Token) {
	if !token.WaitTimeout(patience) {
		panic("no answer")
	}
	if token.Error() != nil {
		panic(token.Error())
	}
}

func connect(id string, clean bool, will string) *client {
	it := &client{messages: make(chan string, 100)}
	options := mqtt.NewClientOptions().SetClientID(id).SetCleanSession(clean).SetAutoReconnect(false)
	options.AddBroker("tcp://" + address).SetProtocolVersion(4)
	options.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		it.messages <- fmt.Sprintf("%s %s %d %t", m.Topic(), m.Payload(), m.Qos(), m.Retained())
	})
	options.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		connection, err := net.Dial("tcp", address)
		it.connection = connection
		return connection, err
	})
	if will != "" {
		options.SetWill(will, "died", 1, false)
	}
	it.Client = mqtt.NewClient(options)
	token := it.Connect()
	must(token)
	it.sessionPresent = token.(*mqtt.ConnectToken).SessionPresent()
	return it
}

func (it *client) subscribe(filter string, qos byte) { must(it.Subscribe(filter, qos, nil)) }
func (it *client) publish(topic, payload string, qos byte, retained bool) {
	must(it.Publish(topic, qos, retained, payload))
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
		it.Disconnect(100)
	})
	check("retained", func(prefix string) {
		it := connect(prefix+"retained", true, "")
		it.publish(prefix+"state", "kept", 1, true)
		it.subscribe(prefix+"state", 1)
		it.expect(prefix + "state kept 1 true")
		it.publish(prefix+"state", "", 1, true)
		it.Disconnect(100)
	})
	check("will", func(prefix string) {
		watcher := connect(prefix+"watcher", true, "")
		watcher.subscribe(prefix+"gone", 1)
		connect(prefix+"dying", true, prefix+"gone").connection.Close()
		watcher.expect(prefix + "gone died 1 false")
		watcher.Disconnect(100)
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
		one.Disconnect(100)
		two.Disconnect(100)
	})
	check("session", func(prefix string) {
		first := connect(prefix+"session", false, "")
		first.subscribe(prefix+"queue", 1)
		first.Disconnect(100)
		publisher := connect(prefix+"publisher", true, "")
		publisher.publish(prefix+"queue", "waited", 1, false)
		again := connect(prefix+"session", false, "")
		if !again.sessionPresent {
			panic("the session was not resumed")
		}
		again.expect(prefix + "queue waited 1 false")
		again.Disconnect(100)
		publisher.Disconnect(100)
	})
}
