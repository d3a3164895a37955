"""Sends the log on: from its files to Elasticsearch and Logstash, each at its own pace."""
