"""The RabbitMQ node of the tests that need one."""
