"""Tests that need a real RabbitMQ, and the node they run on."""
