# The usual words. Everything is an npm script, and npm run lists more of them.
.PHONY: help start stop test check migrate seed smoke load logs clean db-shell alerts
help:
	@echo 'make start | stop | logs      two instances behind a balancer, with PostgreSQL, Prometheus and Grafana (Docker)'
	@echo 'make test | check             the tests; types, lint, import rules and OpenAPI'
	@echo 'make migrate | db-shell       the database of DATABASE_URL, else the embedded one'
	@echo 'make seed | smoke | load      against the running service (BASE_URL)'
	@echo 'make alerts                   test the alert rules (promtool)'
	@echo 'make clean                    remove what was built; data stays'

start: .env.compose
	docker compose --env-file .env.compose up --build --detach --wait
	@echo 'API http://127.0.0.1:8000/docs   Prometheus http://127.0.0.1:9090   Grafana http://127.0.0.1:3000'

stop:
	docker compose --env-file .env.compose down

logs:
	docker compose --env-file .env.compose logs --follow service

# Made once, and kept: the password is that of the database's volume.
.env.compose:
	@umask 077; printf 'POSTGRES_PASSWORD=%s\nWEBHOOK_SECRET=%s\n' "$$(openssl rand -hex 24)" "$$(openssl rand -hex 32)" > $@

node_modules: package-lock.json
	npm ci
	@touch $@

test check smoke seed db-shell: node_modules
	npm run --silent $@

migrate: node_modules
	npm run --silent build
	npm run --silent migrate

load: node_modules
	npm run --silent load -- light

alerts:
	promtool check rules deploy/prometheus/alerts.yml
	promtool test rules deploy/prometheus/alerts.test.yml

clean:
	rm -rf dist coverage
