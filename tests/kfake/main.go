// Serves kfake, a Kafka in one process of Go (github.com/twmb/franz-go/pkg/kfake), for tests of transactions on brokers that are
// not Apache Kafka's.
//
// Started by tests/support/kfake.rs, built by tests/setup/install.sh where there is Go. Prints the addresses of its brokers on
// one line, and ends when its standard input does. It keeps everything in memory.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	brokers := flag.Int("brokers", 1, "how many brokers")
	creates := flag.Bool("create-topics", false, "whether a topic that a producer asks for is made (auto.create.topics.enable)")
	flag.Parse()
	options := []kfake.Opt{
		kfake.NumBrokers(*brokers),
		kfake.DefaultNumPartitions(1),
		kfake.ClusterID("kfake"),
		// Rebalances of tests are not to wait for Kafka's least.
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"auto.create.topics.enable": fmt.Sprint(*creates)}),
	}
	if *creates {
		options = append(options, kfake.AllowAutoTopicCreation())
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer cluster.Close()
	fmt.Println(strings.Join(cluster.ListenAddrs(), ","))
	_, _ = io.Copy(io.Discard, os.Stdin)
}
