"""The classes that NiFi discovers, one a file; each only joins NiFi's API to the logic above."""
