"""The classes that NiFi discovers, one a file; each only connects NiFi's API to the logic above."""
