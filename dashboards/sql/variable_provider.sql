SELECT DISTINCT provider FROM aitap_hosts WHERE mode = 'decrypted' ORDER BY 1
